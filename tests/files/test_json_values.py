from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ofar_tf.files.finished_work import read_record, recall, write_record
from ofar_tf.files.json_values import from_json, read_json


@dataclass(frozen=True)
class Value:
    name: str
    count: int
    share: float
    kept: Mapping[str, Any]


SOUND = {"name": "a", "count": 3, "share": 0.5, "kept": {}}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" * 100_000, "values nested too deeply"),
        (b'{"a":' * 100_000, "values nested too deeply"),
        (b"1" * 5000, "Exceeds the limit"),
        (b"[Infinity]", "Infinity, which is no number"),
        (b"[NaN]", "NaN, which is no number"),
        (b'{"a": 1, "a": 2}', "a key that is there twice"),
        (b"\xff\xfe", "'utf-8' codec"),
        (b"", "Expecting value"),
        (b'{"a": ', "Expecting value"),
    ],
)
def test_what_is_no_json_is_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"^Expected JSON that can be read in ") as caught:
        read_json(tmp_path / "a.json")
    assert reason in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "change",
    [
        {"count": 10**400},
        {"count": 2**63},
        {"share": 10**400},
        {"count": True},
        {"count": 3.0},
        {"share": "0.5"},
        {"name": ["a"]},
        {"kept": []},
        {"more": 1},
    ],
)
def test_a_value_of_another_type_or_too_large_is_refused_in_one_line(change: dict[str, Any]) -> None:
    assert from_json(Value, SOUND, where="here") == Value("a", 3, 0.5, {})
    with pytest.raises(ValueError, match=r"^Expected .* Received: ") as caught:
        from_json(Value, {**SOUND, **change}, where="here")
    assert "here" in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "content", ["[" * 100_000, "[]", '{"key": {}}', '{"key": {}, "value": []}', "7", '{"value": 1}']
)
def test_a_record_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    assert read_record(tmp_path / "a.json", key={}) is None


def test_a_record_of_another_kind_is_work_to_be_done(tmp_path: Path) -> None:
    write_record(tmp_path / "a.json", key={"of": 1}, value={"name": 5})
    value = Value("a", 3, 0.5, {})
    assert recall(tmp_path / "a.json", Value, key={"of": 1}, compute=lambda: value) == value
    assert recall(tmp_path / "a.json", Value, key={"of": 1}, compute=lambda: pytest.fail("done")) == value
