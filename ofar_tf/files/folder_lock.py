"""A folder that one process at a time may write to."""

import fcntl
import os
import weakref
from pathlib import Path

NAME = ".lock"


class FolderLock:
    """Holds a folder for as long as this object lives, or until `release()`.

    The lock is the system's, on an open file `.lock` in the folder: however a process ends, it leaves no lock behind,
    and the file itself means nothing. Some network file systems have no locks: there, nobody is kept out.

    Args:
        folder: Any folder; it is created where it is missing.

    Raises:
        ValueError: If another process, or another object of this one, holds it.
        OSError: If the folder cannot be written.
    """

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / NAME
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        self.release = weakref.finalize(self, os.close, self._descriptor)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.release()
            raise ValueError(
                f"Expected that no other process works in {folder}. Received: one that does; `fuser {path}` names it."
            ) from error
        except OSError:
            pass

    def fileno(self) -> int:
        """Returns the open file: a process that inherits it holds the folder too, as long as it lives."""
        return self._descriptor
