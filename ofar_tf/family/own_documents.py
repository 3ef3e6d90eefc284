"""What an export folder's documents were when the export wrote them, so that none replaces what a user made."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ofar_tf.files import atomic_file
from ofar_tf.files.json_values import from_json, read_json


@dataclass(frozen=True)
class _Record:
    files: Mapping[str, str]


def refuse_foreign(places: Sequence[Path]) -> None:
    """Refuses a folder that no export has been in, and that holds files where an export writes its own.

    Args:
        places: Where an export writes.

    Raises:
        ValueError: If something is there.
    """
    if foreign := [path for path in places if path.exists()]:
        raise ValueError(
            "Expected no files of others in the places of an export's own, or another folder. "
            f"Received: {_named(foreign)}."
        )


def refuse_changed(documents: Sequence[Path], *, record: Path) -> None:
    """Refuses an export folder in which a document was changed since an export wrote it.

    Args:
        documents: The places of the documents.
        record: What `note` wrote. While documents are written there is none, nor where an older version wrote them:
            nothing is refused then, nor where it is damaged.

    Raises:
        ValueError: If a document is not as it was written.
    """
    try:
        written = from_json(_Record, read_json(record), where=str(record)).files
    except (OSError, ValueError):
        return
    if changed := [path for path in documents if path.exists() and not _is_as(path, written.get(path.name))]:
        raise ValueError(
            "Expected documents as the export wrote them: move elsewhere what you changed. "
            f"Received: {_named(changed)}, changed since."
        )


def note(documents: Sequence[Path], *, record: Path) -> None:
    """Notes that documents are the export's own, as they are now.

    Args:
        documents: Their places; not all need exist.
        record: The file to write.
    """
    digests = {path.name: atomic_file.sha256_of(path) for path in documents if path.is_file()}
    atomic_file.write_text(record, json.dumps({"files": digests}, indent=2) + "\n")


def _is_as(path: Path, digest: str | None) -> bool:
    return path.is_file() and atomic_file.sha256_of(path) == digest


def _named(paths: Sequence[Path]) -> str:
    return f"{', '.join(path.name for path in paths)} in {paths[0].parent}"
