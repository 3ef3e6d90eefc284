from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

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
        (b"[" * 100_000, "at most 32 levels"),
        (b'{"a":' * 100_000, "at most 32 levels"),
        (b"1" * 5000, "a number that is not finite or too large"),
        (b"[Infinity]", "not finite or too large, Infinity"),
        (b"[NaN]", "not finite or too large, NaN"),
        (b'{"a": 1, "a": 2}', "a key twice among"),
        (b"\xff\xfe", "'utf-8' codec"),
        (b"", "Expecting value"),
        (b'{"a": ', "Expecting value"),
    ],
)
def test_what_is_no_json_is_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"^Expected JSON (of at most 32 levels )?in ") as caught:
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
