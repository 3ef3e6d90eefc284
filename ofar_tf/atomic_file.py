"""Files that appear whole or not at all."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Gives a path to write to, and puts what was written in the place of `path` when the block ends without an error.

    The temporary file has the same name in a hidden folder beside the target: writers that look at the suffix work, and
    the move stays within one file system. A process killed inside the block leaves the target as it was.

    Args:
        path: The file to create or replace; its folder is created where it is missing.

    Yields:
        The path to write to.

    Raises:
        FileNotFoundError: If the block wrote nothing.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".partial_", dir=target.parent))
    try:
        yield folder / target.name
        (folder / target.name).replace(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Writes a UTF-8 text file atomically.

    Args:
        path: The file to create or replace.
        text: Its whole content.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256_of(path: str | Path) -> str:
    """Computes the SHA-256 of a file's bytes.

    Args:
        path: An existing file.

    Returns:
        64 lower-case hexadecimal digits.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
