"""Files that appear whole or not at all."""

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_UNFINISHED = ".partial_"
_SAID = [re.escape(os.strerror(code)) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)]
# NumPy passes no error on, but tells how much it could write.
_NO_ROOM = re.compile("|".join([*_SAID, r"\d+ requested and \d+ written"]))


class NoRoomError(OSError):
    """The disk is full, a quota is spent, or a file would be larger than is allowed."""


@contextmanager
def room_for(what: str) -> Iterator[None]:
    """Names what was being written where there is no room for it.

    Libraries pass the system's error on as types of their own (h5py's and TensorFlow's are not even `OSError`s), but
    all keep its text.

    Args:
        what: What is written in the block, and where.

    Raises:
        NoRoomError: In the place of any error of the block that says so.
    """
    try:
        yield
    except NoRoomError:
        raise
    except Exception as error:
        found = _NO_ROOM.search(str(error))
        if found is None:
            raise
        raise NoRoomError(f"Expected room for {what}. Received: {found.group()}.") from error


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Gives a path to write to, and puts what was written in the place of `path` when the block ends without an error.

    The temporary file has the same name in a hidden folder beside the target: writers that look at the suffix work, and
    the move stays within one file system. A process killed inside the block leaves the target as it was, and so does a
    machine that loses its power: the content is on the disk before it gets the name.

    Args:
        path: The file to create or replace; its folder is created where it is missing.

    Yields:
        The path to write to.

    Raises:
        FileNotFoundError: If the block wrote nothing.
        NoRoomError: If there is no room for the file; the target is left as it was.
    """
    target = Path(path)
    with room_for(f"{target.name} in {target.parent}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=target.parent))
        try:
            yield folder / target.name
            _store(folder / target.name)
            (folder / target.name).replace(target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # Not every file system can do this to a folder.
            _store(target.parent)


def _store(path: Path) -> None:
    """Waits until what is written is on the disk. Network file systems and quotas say only now that it does not fit."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_unfinished(path: Path) -> bool:
    """Tells whether `replacing` made this folder to write in; if nobody is writing, it is what a killed process left.

    Args:
        path: Any path.
    """
    return path.name.startswith(_UNFINISHED)


def remove_unfinished(folder: Path) -> None:
    """Removes what killed processes have left half-written in a folder and below.

    Args:
        folder: A folder that no other process writes to.
    """
    for path in list(folder.rglob(f"{_UNFINISHED}*")):
        shutil.rmtree(path)


def require_writable(folder: Path, *, name: str) -> None:
    """Refuses a folder in which nothing can be written: before work is done whose result would be lost.

    Args:
        folder: A folder; of one that is missing, the place where it would be made is tried.
        name: What it is, for the message.

    Raises:
        OSError: If nothing can be written there.
    """
    place = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    try:
        Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=place)).rmdir()
    except OSError as error:
        raise OSError(f"Expected {name} that can be written. Received: {folder} ({error.strerror}).") from error


def write_text(path: str | Path, text: str) -> None:
    """Writes a UTF-8 text file atomically.

    Args:
        path: The file to create or replace.
        text: Its whole content.

    Raises:
        NoRoomError: If there is no room for it.
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
