"""Several TFLite files as signatures of one, equal contents stored once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from ofar_tf.tflite.flatbuffer_file import read_model, write_model

_MOST_TIES = 1e-3  # Share of a kernel's weights; measured: 1e-6 of all weights, one in each kernel that has any.


def pack(files: Mapping[str, bytes]) -> bytes:
    """Merges TFLite files into one.

    What is stored once is what is equal bit for bit. One structure at several resolutions has BatchNorm statistics, and
    so convolutions with them folded in, of its own at each; but these differ by a factor for each output channel, and
    where kernels are stored as 8-bit integers with a scale for each output channel, the factor is all in the scale: the
    integers are equal (but for ties, see `share_kernels`). Kernels stored as floats are not, unless the files were made
    with the same statistics; nor are those of different structures.

    Args:
        files: The whole file for each signature's name; each has one subgraph and one signature. What they say about
            themselves is left out.

    Returns:
        The whole file. Each of its signatures computes what its own file did; an application that asks for none gets
        the first.

    Raises:
        ValueError: If there is no file, or one has several subgraphs or signatures.
    """
    if not files:
        raise ValueError("Expected at least one file to pack. Received: none.")
    store = _Store()
    packed = schema.ModelT(version=3, description="", subgraphs=[], signatureDefs=[], metadata=[])
    for name, content in files.items():
        model = read_model(content)
        if len(model.subgraphs) != 1 or len(model.signatureDefs or []) != 1:
            raise ValueError(
                "Expected files of one subgraph and one signature. "
                f"Received: {len(model.subgraphs)} and {len(model.signatureDefs or [])} for {name!r}."
            )
        (subgraph,), (signature,) = model.subgraphs, model.signatureDefs
        store.take(subgraph, model)
        subgraph.name = signature.signatureKey = name
        signature.subgraphIndex = len(packed.subgraphs)
        packed.subgraphs.append(subgraph)
        packed.signatureDefs.append(signature)
    packed.buffers, packed.operatorCodes = store.buffers, store.codes
    return write_model(packed)


def share_kernels(first: bytes, other: bytes) -> tuple[bytes, int]:
    """Gives a file the 8-bit kernels of another where the two differ in ties of rounding only.

    A weight that lies halfway between two integers goes up at one resolution and down at the next, for the sake of the
    last bit of a float: about one in a million does, and its whole kernel is then stored twice. Either integer is as
    near to the weight, so the file is as good a copy of its network as it was.

    Args:
        first: The whole file whose kernels are taken.
        other: The whole file of the same structure, in the same precision, that gets them.

    Returns:
        The second file, and how many of its weights are now another integer; the very same file if none is.
    """
    source, target = read_model(first), read_model(other)
    changed = 0
    for one, two in zip(_kernels(source), _kernels(target), strict=False):
        ties = _ties(one.data, two.data)
        if ties:
            two.data, changed = one.data, changed + ties
    return (write_model(target), changed) if changed else (other, 0)


def _kernels(model: schema.ModelT) -> list[schema.BufferT]:
    """The buffers of the 8-bit constants, in the order of the network."""
    tensors = [tensor for subgraph in model.subgraphs for tensor in subgraph.tensors]
    buffers = [model.buffers[tensor.buffer] for tensor in tensors if tensor.type == schema.TensorType.INT8]
    return [buffer for buffer in buffers if buffer.data is not None]


def _ties(one: np.ndarray, two: np.ndarray) -> int:
    """Counts the integers that differ; 0 where they are too many or too far apart to be ties."""
    if len(one) != len(two):
        return 0
    steps = np.abs(one.view(np.int8).astype(np.int16) - two.view(np.int8))
    count = int(np.count_nonzero(steps))
    return count if steps.max(initial=0) == 1 and count <= _MOST_TIES * len(steps) else 0


@dataclass
class _Store:
    """What the subgraphs of a file refer to by number, each content once."""

    # The schema demands that buffer 0 is empty.
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])
    codes: list[Any] = field(default_factory=list)
    _numbers: dict[Any, int] = field(default_factory=dict)

    def take(self, subgraph: schema.SubGraphT, model: schema.ModelT) -> None:
        """Takes over what a subgraph of another file refers to, and gives it the new numbers."""
        for tensor in subgraph.tensors:
            buffer = model.buffers[tensor.buffer]
            tensor.buffer = 0 if buffer.data is None else self._number(bytes(buffer.data), buffer, self.buffers)
        for operator in subgraph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            operator.opcodeIndex = self._number(tuple(sorted(vars(code).items())), code, self.codes)

    def _number(self, content: Any, item: Any, items: list[Any]) -> int:
        if content not in self._numbers:
            self._numbers[content] = len(items)
            items.append(item)
        return self._numbers[content]


def largest_difference(packed: bytes, signature: str, single: bytes, images: np.ndarray) -> float:
    """Runs a signature and its own file through LiteRT.

    Args:
        packed: The whole packed file.
        signature: The signature's name.
        single: The whole file that it was made from.
        images: [N, r, r, 3], N >= 1, values in 0..255.

    Returns:
        The largest absolute difference of a stored output value: of a probability, or for integers in steps.
    """
    runners = (
        Interpreter(model_content=packed, num_threads=1).get_signature_runner(signature),
        Interpreter(model_content=single, num_threads=1).get_signature_runner(),
    )
    (name, details), *_ = runners[0].get_input_details().items()
    differences = []
    for image in np.asarray(images):
        pixels = np.rint(image) if np.issubdtype(details["dtype"], np.integer) else image
        given = {name: pixels[np.newaxis].astype(details["dtype"])}
        first, second = (next(iter(runner(**given).values())).astype(np.float64) for runner in runners)
        differences.append(float(np.abs(first - second).max()))
    return max(differences)
