"""Finished work remembered on disk, so that what was killed goes on where it was."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from ofar_tf.files import atomic_file
from ofar_tf.files.json_values import from_json, read_json

Value = TypeVar("Value")


@dataclass(frozen=True)
class Work(Generic[Value]):
    """A piece of work about one file, whose result is remembered beside it.

    It is finished if a record says so for the very same key, holds a value of the very form that this version writes,
    and, where the work makes the file, the file is the one that it made. Anything else, whatever program of whatever
    version left it, is no record: the work is done again, and nothing is raised.

    Attributes:
        name: What is done, one word; of one file each work has a name of its own.
        file: The file that it is about, or that it makes.
        kind: The frozen dataclass of the result.
        key: Everything that the result depends on, as JSON values.
        makes_file: Whether the work writes the file.
    """

    name: str
    file: Path
    kind: type[Value]
    key: Mapping[str, Any]
    makes_file: bool = False

    @property
    def record(self) -> Path:
        """The record, a hidden JSON file beside the file."""
        return self.file.with_name(f".{self.file.name}.{self.name}.json")

    def finished(self) -> Value | None:
        """Returns the result if the work is finished, else None."""
        try:
            record = read_json(self.record)
            if set(record) != set(self._record({})) or record["key"] != _as_json(self.key):
                return None
            if self.makes_file and record["sha256"] != atomic_file.sha256_of(self.file):
                return None
            value = from_json(self.kind, record["value"], where=str(self.record))
            # A field that has a default since may be missing from an old record: what is not known is not assumed.
            return value if _as_json(asdict(value)) == record["value"] else None
        except (OSError, ValueError, TypeError, ArithmeticError, RecursionError):
            return None

    def finish(self, value: Value) -> None:
        """Records the result, atomically.

        Args:
            value: The result.

        Raises:
            FileNotFoundError: If the work makes the file and there is none.
        """
        record = self._record(asdict(value))  # type: ignore[call-overload]
        if self.makes_file:
            record["sha256"] = atomic_file.sha256_of(self.file)
        atomic_file.write_text(self.record, json.dumps(record, indent=2) + "\n")

    def forget(self) -> None:
        """Removes the record, and the file that the work has made, so that an old one never passes for a new one.

        A file that no record of this work speaks of is not ours to remove.
        """
        if self.record.exists():
            if self.makes_file:
                self.file.unlink(missing_ok=True)
            self.record.unlink()

    def once(self, run: Callable[[], Value]) -> Value:
        """Returns the recorded result, or does the work and records it.

        Args:
            run: Does the work.

        Returns:
            The result.
        """
        value = self.finished()
        if value is None:
            value = run()
            self.finish(value)
        return value

    def _record(self, value: Mapping[str, Any]) -> dict[str, Any]:
        return {"key": dict(self.key), "value": dict(value), **({"sha256": ""} if self.makes_file else {})}


def _as_json(value: Mapping[str, Any]) -> Any:
    """Returns a value as it comes back from a file: tuples as lists."""
    return json.loads(json.dumps(dict(value)))
