"""Reads the tensors of a PyTorch file without PyTorch, and without running what the file may contain.

The format is that of `torch.save` before version 1.6: five pickles (a magic number, a version, facts about the machine,
the object, the keys of the storages), then each storage as its length and its numbers. A tensor is a view of a storage:
where it begins, its size and its strides, which need not be those of a contiguous array.

A pickle is a program. Here it may make dictionaries and tensors; whatever else it asks for ends the reading.
"""

import math
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_DTYPES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
    "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1", "BoolStorage": "?",
}  # fmt: skip


def read_pytorch_file(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a saved `state_dict`.

    Args:
        path: A `.pth` file of tensors by name, as `torch.save` wrote it before PyTorch 1.6.

    Returns:
        The tensors by name, as contiguous arrays of the tensors' own shapes and types.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is another kind of file, is damaged, or holds anything but tensors.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"Expected a PyTorch file. Received: {path}, which does not exist.")
    try:
        return _read(BytesIO(Path(path).read_bytes()))
    except Exception as error:  # Bytes that were made up can have the unpickler raise anything.
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ValueError(
            f"Expected a PyTorch file of nothing but tensors, written before PyTorch 1.6. Received: {path}: {reason}"
        ) from error


@dataclass(frozen=True)
class _Storage:
    """A run of numbers of one type."""

    key: str
    dtype: str
    length: int


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage, in elements."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    strides: tuple[int, ...]

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """Copies the view out of its storage, never reading outside of it nor making more numbers than it holds."""
        counts = (self.offset, *self.size, *self.strides)
        if len(self.size) != len(self.strides) or any(type(count) is not int or count < 0 for count in counts):
            raise ValueError(f"a tensor of offset {self.offset}, size {self.size} and strides {self.strides}")
        last = self.offset + sum((size - 1) * stride for size, stride in zip(self.size, self.strides, strict=True))
        if math.prod(self.size) > len(numbers) or (0 not in self.size and last >= len(numbers)):
            raise ValueError(f"a tensor of size {self.size} in a storage of {len(numbers)} numbers")
        if 0 in self.size:
            return np.empty(self.size, numbers.dtype)
        steps = [stride * numbers.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.size, steps).copy()


class _Rebuild:
    """Stands for `torch._utils._rebuild_tensor_v2`; an object of its own, which a pickle cannot alter."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, size: Any, strides: Any, *rest: Any) -> _Tensor:
        if not isinstance(storage, _Storage):
            raise pickle.UnpicklingError("a tensor without a storage")
        return _Tensor(storage, offset, tuple(size), tuple(strides))


class _TensorsOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Rebuild()
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, length, view = pid
        if kind != "storage" or dtype not in _DTYPES.values() or type(key) is not str or view is not None:
            raise pickle.UnpicklingError("a reference to something else than a storage")
        return _Storage(key, dtype, length)


def _read(file: BytesIO) -> dict[str, np.ndarray]:
    header = [_unpickled(file) for _ in range(3)]
    if header[:2] != [_MAGIC, _VERSION] or not header[2]["little_endian"]:
        raise ValueError("its header is another")
    state, keys = _unpickled(file), _unpickled(file)
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, _Tensor) for name, value in state.items()
    ):
        raise ValueError("it holds something else than tensors by name")
    storages = {tensor.storage.key: tensor.storage for tensor in state.values()}
    if sorted(keys) != sorted(storages):
        raise ValueError("its list of storages is another than that of its tensors")
    numbers = {key: _numbers(file, storages[key]) for key in keys}
    if file.read(1):
        raise ValueError("it goes on after its last tensor")
    return _tensors(state, numbers)


def _unpickled(file: BytesIO) -> Any:
    begin = file.tell()
    # The unpickler makes room for every memo number up to the largest, of which a few bytes could be a terabyte.
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name.endswith("PUT") and int(argument or 0) > len(file.getbuffer()):
            raise pickle.UnpicklingError("a memo beyond the length of the file")
    file.seek(begin)
    return _TensorsOnly(file).load()


def _numbers(file: BytesIO, storage: _Storage) -> np.ndarray:
    length = int.from_bytes(file.read(8), "little", signed=True)
    dtype = np.dtype(storage.dtype)
    if length != storage.length or not 0 <= length * dtype.itemsize <= len(file.getbuffer()) - file.tell():
        raise ValueError("it ends too early")
    return np.frombuffer(file.read(length * dtype.itemsize), dtype)


def _tensors(state: Mapping[str, _Tensor], numbers: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: tensor.of(numbers[tensor.storage.key]) for name, tensor in state.items()}
