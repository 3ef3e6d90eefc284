from dataclasses import dataclass

import pytest

from ofar_tf.files import finished_work


@dataclass(frozen=True)
class Sum:
    terms: tuple[int, ...]
    total: float


@pytest.fixture
def count():
    calls = []

    def compute():
        calls.append(1)
        return Sum((1, 2), 3.0)

    compute.calls = calls
    return compute


def test_a_value_is_computed_once_for_a_key(tmp_path, count):
    for _ in range(2):
        value = finished_work.recall(tmp_path / "sum.json", Sum, key={"terms": (1, 2)}, compute=count)
        assert value == Sum((1, 2), 3.0)
    assert len(count.calls) == 1


def test_another_key_computes_again(tmp_path, count):
    finished_work.recall(tmp_path / "sum.json", Sum, key={"terms": [1, 2]}, compute=count)
    finished_work.recall(tmp_path / "sum.json", Sum, key={"terms": [2, 1]}, compute=count)
    assert len(count.calls) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": {}}', "null"])
def test_a_damaged_record_is_no_record(tmp_path, text):
    (tmp_path / "sum.json").write_text(text)
    assert finished_work.read_record(tmp_path / "sum.json", key={}) is None


def test_a_record_lies_hidden_beside_its_file(tmp_path):
    assert finished_work.record_path(tmp_path / "net.tflite", "conversion") == tmp_path / ".net.tflite.conversion.json"
