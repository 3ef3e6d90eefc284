import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ofar_tf.models.pytorch_file import read_pytorch_file

# The format written by hand, opcode by opcode, so that no PyTorch is needed.
MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
VERSION = pickle.dumps(1001, 2)
SYSTEM = pickle.dumps({"protocol_version": 1001, "little_endian": True}, 2)


@dataclass(frozen=True)
class View:
    """A tensor: a view of `numbers`, by default all of them in one row."""

    numbers: np.ndarray
    offset: int = 0
    size: Sequence[int] = ()
    strides: Sequence[int] = ()


def tensor(view: View, *, key: str) -> bytes:
    kind = {"f": "Float", "i": "Long"}[view.numbers.dtype.kind]
    storage = f"(Vstorage\nctorch\n{kind}Storage\nV{key}\nVcpu\nI{len(view.numbers)}\nNtQ".encode()
    hooks = b"ccollections\nOrderedDict\n)R"
    sizes = _tuple(view.size) + _tuple(view.strides)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"I%d\n" % view.offset + sizes + b"I00\n" + hooks + b"tR"


def _tuple(numbers: Sequence[int]) -> bytes:
    return b"(" + b"".join(b"I%d\n" % number for number in numbers) + b"t"


def state(entries: Mapping[str, bytes]) -> bytes:
    return b"}(" + b"".join(f"V{name}\n".encode() + value for name, value in entries.items()) + b"u."


def saved(views: Mapping[str, View]) -> bytes:
    keys = {name: str(number) for number, name in enumerate(views)}
    pickles = state({name: tensor(view, key=keys[name]) for name, view in views.items()})
    storages = b"".join(len(v.numbers).to_bytes(8, "little") + v.numbers.tobytes() for v in views.values())
    return MAGIC + VERSION + SYSTEM + pickles + pickle.dumps(list(keys.values()), 2) + storages


def contiguous(array: np.ndarray) -> View:
    strides = [stride // array.itemsize for stride in array.strides]
    return View(array.ravel(), 0, array.shape, strides)


SIX = np.arange(6, dtype=np.float32)
SMALL = saved({"a": View(SIX, 0, (2, 3), (3, 1)), "steps": View(np.array([7], np.int64))})


def read(content: bytes, folder: Path) -> dict[str, np.ndarray]:
    path = folder / "net.pth"
    path.write_bytes(content)
    return read_pytorch_file(path)


def refused(content: bytes, folder: Path) -> str:
    with pytest.raises(
        ValueError, match=r"^Expected a PyTorch file of nothing but tensors, .* Received: .*net\.pth: "
    ) as e:
        read(content, folder)
    assert "\n" not in str(e.value)
    return str(e.value)


def test_tensors_are_read_by_name_with_their_shapes_and_types(tmp_path):
    tensors = read(SMALL, tmp_path)
    assert list(tensors) == ["a", "steps"]
    np.testing.assert_array_equal(tensors["a"], [[0, 1, 2], [3, 4, 5]])
    assert tensors["a"].dtype == np.float32
    assert (tensors["steps"].shape, tensors["steps"].dtype, int(tensors["steps"])) == ((), np.int64, 7)


def test_a_tensor_begins_at_its_offset_and_follows_its_strides(tmp_path):
    tensors = read(saved({"a": View(SIX, 0, (2, 3), (1, 2)), "b": View(SIX, 1, (2,), (3,))}), tmp_path)
    np.testing.assert_array_equal(tensors["a"], [[0, 2, 4], [1, 3, 5]])
    np.testing.assert_array_equal(tensors["b"], [1, 4])


@given(
    shape=st.lists(st.integers(0, 4), min_size=0, max_size=4),
    order=st.permutations(range(4)),
    offset=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_view_of_any_shape_order_and_offset_is_what_numpy_makes_of_it(shape, order, offset, tmp_path):
    numbers = np.random.default_rng(0).normal(size=offset + int(np.prod(shape)) + 2).astype(np.float32)
    whole = numbers[offset : offset + int(np.prod(shape))].reshape(shape)
    expected = whole.transpose([axis for axis in order if axis < len(shape)])
    view = View(numbers, offset, expected.shape, [stride // 4 for stride in expected.strides])
    np.testing.assert_array_equal(read(saved({"a": view}), tmp_path)["a"], expected)


@pytest.mark.parametrize(
    "view",
    [
        View(SIX, 0, (7,), (1,)),
        View(SIX, 1, (6,), (1,)),
        View(SIX, 0, (2, 2), (5, 1)),
        View(SIX, 10**9, (1,), (1,)),
        View(SIX, 5, (6,), (-1,)),
        View(SIX, -1, (1,), (1,)),
        View(SIX, 0, (-1,), (1,)),
        View(SIX, 0, (2, 3), (1,)),
        View(SIX, 0, (10**12,), (0,)),  # Four terabytes of the same number.
        View(SIX, 0, (7,), (0,)),
        View(SIX, 6),
    ],
)
def test_a_view_beyond_its_storage_is_refused(view, tmp_path):
    assert "a tensor of " in refused(saved({"a": view}), tmp_path)


# Each would make the file `mark` if it were run.
TOUCH = b"Vtouch mark\n"
HOSTILE = {
    "reduce": b"cos\nsystem\n(" + TOUCH + b"tR.",
    "posix": b"cposix\nsystem\n(" + TOUCH + b"tR.",
    "eval": b"cbuiltins\neval\n(V__import__('os').system('touch mark')\ntR.",
    "getattr": b"cbuiltins\ngetattr\n(ccollections\nOrderedDict\nV__subclasses__\ntR.",
    "inst": b"(" + TOUCH + b"ios\nsystem\n.",
    "obj": b"(cos\nsystem\n" + TOUCH + b"o.",
    "newobj": b"csubprocess\nPopen\n(" + TOUCH + b"t\x81.",
    "stack_global": b"\x80\x04\x8c\x02os\x8c\x06system\x93" + TOUCH + b"\x85R.",
    "a_dotted_name": b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93.",
    "other_of_torch": b"ctorch.hub\nload\n(" + TOUCH + b"tR.",
    "other_of_torch_utils": b"ctorch._utils\n_import_dotted_name\n(Vos.system\ntR.",
    "extension": b"\x80\x02\x82\x01.",
    "a_module_as_storage": b"(Vmodule\nctorch\nFloatStorage\nV0\nVcpu\nI4\nNtQ.",
    "a_storage_of_no_number": b"(Vstorage\nVos\nV0\nVcpu\nI4\nNtQ.",
    "a_persistent_text": b"Pmark\n.",
    "no_dictionary": b"I1\n.",
    "no_tensor": b"}(Va\nI1\nu.",
    "a_number_as_name": b"}(I1\n" + tensor(View(SIX), key="0") + b"u.",
    "a_tensor_without_storage": b"}(Va\nctorch._utils\n_rebuild_tensor_v2\n(I1\nI0\n()t()tI00\nNtRu.",
    "state_of_the_rebuilder": b"ctorch._utils\n_rebuild_tensor_v2\n}(V__call__\nccollections\nOrderedDict\nub.",
    "slots_of_the_rebuilder": b"ctorch._utils\n_rebuild_tensor_v2\n(N}(V__call__\nccollections\nOrderedDict\nutb.",
    "slots_of_a_class": b"ccollections\nOrderedDict\n(N}(Vmark\nI1\nutb.",
    "a_memo_of_gigabytes": b"Nr\xff\xff\xff\xff.",
    "a_string_of_exabytes": b"\x80\x04\x8d" + (2**62).to_bytes(8, "little") + b"mark",
}


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("name", HOSTILE)
def test_a_pickle_that_asks_for_anything_else_is_refused_and_nothing_runs(name, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = state({"a": tensor(View(SIX, 0, (6,), (1,)), key="0")})
    parts = [MAGIC, VERSION, SYSTEM, good, pickle.dumps(["0"], 2)]
    parts[place] = HOSTILE[name]
    refused(b"".join(parts) + (6).to_bytes(8, "little") + SIX.tobytes(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["net.pth"]


def test_what_was_asked_for_is_named(tmp_path):
    assert "UnpicklingError: it asks for os.system" in refused(MAGIC + VERSION + HOSTILE["reduce"], tmp_path)


def test_a_file_cut_off_anywhere_is_refused(tmp_path):
    for end in range(len(SMALL)):
        refused(SMALL[:end], tmp_path)


def test_a_file_that_goes_on_is_refused(tmp_path):
    assert "it goes on after its last tensor" in refused(SMALL + b"\0", tmp_path)


@given(place=st.integers(0, len(SMALL) - 1), byte=st.integers(0, 255))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_byte_gives_other_tensors_or_a_refusal(place, byte, tmp_path):
    damaged = bytearray(SMALL)
    damaged[place] = byte
    try:
        assert all(isinstance(value, np.ndarray) for value in read(bytes(damaged), tmp_path).values())
    except ValueError as error:
        assert str(error).startswith("Expected a PyTorch file") and "\n" not in str(error)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 a file of PyTorch 1.6 or later", MAGIC + pickle.dumps(1002, 2) + SYSTEM]
)
def test_other_kinds_of_files_are_refused(content, tmp_path):
    refused(content, tmp_path)


def test_big_endian_numbers_are_refused(tmp_path):
    system = pickle.dumps({"little_endian": False}, 2)
    assert "its header is another" in refused(SMALL.replace(SYSTEM, system), tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"Expected a PyTorch file\. Received: .*none\.pth, which does not exist"
    ):
        read_pytorch_file(tmp_path / "none.pth")


def test_a_contiguous_array_survives(tmp_path):
    array = np.random.default_rng(0).normal(size=(3, 2, 4)).astype(np.float32)
    np.testing.assert_array_equal(read(saved({"a": contiguous(array)}), tmp_path)["a"], array)
