"""A folder that one process at a time may write to."""

import os
import sys
import weakref
from pathlib import Path
from typing import Any

import filelock

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
        # Closed, not unlocked: what inherits the file goes on holding the folder.
        self.release = weakref.finalize(self, os.close, self._descriptor)
        if not _locked(self._descriptor):
            self.release()
            raise ValueError(
                f"Expected that no other process works in {folder}. Received: one that does; `fuser {path}` names it."
            )

    def for_heirs(self) -> dict[str, Any]:
        """Returns what `subprocess.Popen` needs to start a process that holds the folder too, as long as it lives.

        Windows knows no such processes: there, what is started must end by itself when it loses its caller.
        """
        return {} if sys.platform == "win32" else {"pass_fds": [self._descriptor]}


def _locked(descriptor: int) -> bool:
    try:
        return filelock.lock_descriptor(descriptor, blocking=False)
    except OSError:  # This file system has no locks.
        return True
