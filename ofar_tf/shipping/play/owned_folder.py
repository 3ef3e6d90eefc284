"""A folder that we wrote ourselves, and that a second writing brings up to date without touching others' files."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ofar_tf.files import atomic_file
from ofar_tf.files.json_values import from_json, read_json

RECORD = "ofar_package.json"
"""Lists the files that we wrote, with their checksums."""


@dataclass(frozen=True)
class _Record:
    files: Mapping[str, str]


class OwnedFolder:
    """A folder that is new, empty, or was written by this class and not changed since.

    Args:
        path: The folder; it need not exist.

    Raises:
        ValueError: If it holds files of someone else, and no record of ours, or a file of ours that was changed.
    """

    def __init__(self, path: Path):
        self.path = path
        self._written = self._read_record()
        changed = [name for name, digest in self._written.items() if self._digest(name) not in (None, digest)]
        if changed:
            raise ValueError(
                f"Expected the files in {path} as they were written. Received: {', '.join(changed)}, changed since; "
                "move what you changed elsewhere."
            )

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Makes our files exactly these; files of others stay as they are, and so do files that are right already.

        A process that is killed leaves a folder that the next one finishes.

        Args:
            contents: What to write, by path in the folder, with forward slashes.

        Raises:
            ValueError: If a file of someone else is in the way.
        """
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}
        foreign = [name for name in digests if name not in self._written and (self.path / name).exists()]
        if foreign:
            raise ValueError(f"Expected no files of others in the way. Received: {', '.join(foreign)} in {self.path}.")
        if self.path.is_dir():
            atomic_file.remove_unfinished(self.path)
        for name, digest in self._written.items():
            if digests.get(name) != digest:
                self._remove(name)
        # Before the files: what a killed process has written is ours too.
        atomic_file.write_text(self.path / RECORD, json.dumps({"files": digests}, indent=2) + "\n")
        self._written = digests
        for name, content in contents.items():
            if not (self.path / name).exists():
                with atomic_file.replacing(self.path / name) as temporary:
                    temporary.write_bytes(content)

    def _read_record(self) -> dict[str, str]:
        record = self.path / RECORD
        if record.is_file():
            try:
                files = dict(from_json(_Record, read_json(record), where=str(record)).files)
            except ValueError as error:
                raise ValueError(f"Expected our record in {record}. Received: {error}") from error
            # Files that a record names may be removed, so none of them lies elsewhere.
            if strange := [name for name in files if not self._is_inside(name)]:
                raise ValueError(f"Expected our record in {record}. Received: {strange!r:.200}, outside the folder.")
            return files
        if self.path.exists() and not self._is_free():
            raise ValueError(
                f"Expected a new or empty folder, or one that this command wrote. Received: {self.path}, "
                f"which has no {RECORD}."
            )
        return {}

    def _is_inside(self, name: str) -> bool:
        parts = name.split("/")
        folder = os.path.realpath(self.path)
        parent = Path(os.path.realpath(self.path / name)).parent if name.isprintable() else Path("/")
        return not {"", ".", ".."} & set(parts) and parent.is_relative_to(folder)

    def _is_free(self) -> bool:
        return self.path.is_dir() and all(atomic_file.is_unfinished(path) for path in self.path.iterdir())

    def _digest(self, name: str) -> str | None:
        path = self.path / name
        return atomic_file.sha256_of(path) if path.is_file() else None

    def _remove(self, name: str) -> None:
        """Removes a file and the folders that it leaves empty."""
        path = self.path / name
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self.path or not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()
