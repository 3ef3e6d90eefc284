"""Finished work remembered on disk, so that an export continues where it was killed."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from ofar_tf.files import atomic_file
from ofar_tf.files.json_values import from_json, read_json

Value = TypeVar("Value")


def record_path(file: Path, work: str) -> Path:
    """Names the record that tells how a file came to be.

    Args:
        file: The file that the record belongs to.
        work: What was done, one word.

    Returns:
        A hidden JSON file beside it.
    """
    return file.with_name(f".{file.name}.{work}.json")


def read_record(path: Path, *, key: Mapping[str, Any]) -> dict[str, Any] | None:
    """Reads what was recorded for exactly this key.

    Args:
        path: Where the record would be.
        key: Everything that the work depended on, as JSON values.

    Returns:
        The recorded value; None where there is no record, the key differs or the record cannot be read, for then the
        work is to be done.
    """
    try:
        record = read_json(path)
        value = record["value"] if record["key"] == _as_json(key) else None
        return value if isinstance(value, dict) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def write_record(path: Path, *, key: Mapping[str, Any], value: Mapping[str, Any]) -> None:
    """Records the result of finished work, atomically.

    Args:
        path: Where to write.
        key: Everything that the work depended on, as JSON values.
        value: The result, as JSON values.
    """
    atomic_file.write_text(path, json.dumps({"key": dict(key), "value": dict(value)}, indent=2) + "\n")


def _as_json(key: Mapping[str, Any]) -> Any:
    """Returns the key as it comes back from a file: tuples as lists."""
    return json.loads(json.dumps(dict(key)))


def recall(path: Path, kind: type[Value], *, key: Mapping[str, Any], compute: Callable[[], Value]) -> Value:
    """Returns the recorded value of a key, or computes and records it.

    Args:
        path: Where the record is or will be.
        kind: The frozen dataclass of the value.
        key: Everything that the value depends on, as JSON values.
        compute: Makes the value.

    Returns:
        The value.
    """
    recorded = read_record(path, key=key)
    if recorded is not None:
        with suppress(ValueError):  # A value of another type is no record.
            return from_json(kind, recorded, where=str(path))
    value = compute()
    write_record(path, key=key, value=asdict(value))  # type: ignore[call-overload]
    return value
