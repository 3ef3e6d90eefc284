import json
from dataclasses import dataclass

import pytest

from ofar_tf.files.finished_work import Work


@dataclass(frozen=True)
class Sum:
    terms: tuple[int, ...]
    total: float
    note: str | None = None

    def __post_init__(self):
        if self.total < 0:
            raise ValueError("Expected a sum that is not negative.")


VALUE = Sum((1, 2), 3.0)


def sum_of(folder, *terms, **changes):
    return Work(**{"name": "sum", "file": folder / "net.tflite", "kind": Sum, "key": {"terms": terms}, **changes})


@pytest.fixture
def count():
    calls = []

    def run():
        calls.append(1)
        return VALUE

    run.calls = calls
    return run


def test_work_is_done_once_for_a_key(tmp_path, count):
    assert [sum_of(tmp_path, 1, 2).once(count) for _ in range(2)] == [VALUE, VALUE]
    assert len(count.calls) == 1


def test_another_key_does_it_again(tmp_path, count):
    for terms in ((1, 2), (2, 1)):
        sum_of(tmp_path, *terms).once(count)
    assert len(count.calls) == 2


def test_a_record_lies_hidden_beside_its_file(tmp_path):
    assert sum_of(tmp_path, 1).record == tmp_path / ".net.tflite.sum.json"


def changed(record, **changes):
    return {**record, "value": {**record["value"], **changes}}


def without(record, field):
    return {**record, "value": {name: value for name, value in record["value"].items() if name != field}}


@pytest.mark.parametrize(
    "change",
    [
        lambda record: "",
        lambda record: "{",
        lambda record: [],
        lambda record: None,
        lambda record: 7,
        lambda record: {"key": record["key"]},
        lambda record: {**record, "version": 2},
        lambda record: {**record, "value": None},
        lambda record: changed(record, mean=1.5),
        lambda record: without(record, "total"),
        lambda record: without(record, "note"),
        lambda record: changed(record, total="3"),
        lambda record: changed(record, total=-1.0),
        lambda record: changed(record, total=float("nan")),
        lambda record: changed(record, total=10**400),
        lambda record: changed(record, terms=[1, "2"]),
        lambda record: changed(record, terms={"0": 1}),
        lambda record: "[" * 100_000,
    ],
)
def test_a_record_that_this_version_would_not_write_is_no_record_and_the_work_is_done_again(tmp_path, count, change):
    work = sum_of(tmp_path, 1, 2)
    work.finish(VALUE)
    content = change(json.loads(work.record.read_text()))
    work.record.write_text(content if isinstance(content, str) else json.dumps(content))
    assert work.finished() is None
    assert work.once(count) == VALUE and len(count.calls) == 1
    assert work.finished() == VALUE


@pytest.mark.parametrize("content", [b"\xff\xfe", b""])
def test_a_record_that_is_no_text_is_no_record(tmp_path, content):
    work = sum_of(tmp_path, 1)
    work.record.write_bytes(content)
    assert work.finished() is None


def test_a_file_that_the_work_made_must_still_be_the_same(tmp_path, count):
    work = sum_of(tmp_path, 1, 2, makes_file=True)
    work.file.write_bytes(b"made")
    work.finish(VALUE)
    assert work.finished() == VALUE
    work.file.write_bytes(b"edited")
    assert work.finished() is None
    work.file.unlink()
    assert work.finished() is None
    with pytest.raises(FileNotFoundError):
        work.finish(VALUE)


def test_only_what_the_work_made_is_forgotten(tmp_path):
    work = sum_of(tmp_path, 1, 2, makes_file=True)
    work.file.write_bytes(b"the user's")
    work.forget()
    assert work.file.exists()
    work.finish(VALUE)
    work.forget()
    assert list(tmp_path.iterdir()) == []
