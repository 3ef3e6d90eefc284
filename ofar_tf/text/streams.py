"""A command's input and output as they may be: closed, a full disk, a pipe from which nobody reads on."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_NOBODY_READS = 128 + 13  # What shells give a command that SIGPIPE ended.
_NO_WAY_OUT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_NAMES = ("stdin", "stdout", "stderr")


def open_streams() -> None:
    """Opens what the caller has closed of standard input, output and error to nowhere, as `nohup` does.

    Python leaves such a stream out, and prints on the output what is for an error stream that is not there; the next
    files that are opened, a lock or a checkpoint, would get its number, and what libraries print would land in them.

    What an output's encoding has no letters for is shown by its number, as Python does with errors: the name of a class
    must end no command whose work is done.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < len(_NAMES):
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for number, name in enumerate(_NAMES):
        if getattr(sys, name) is None:
            raw = io.FileIO(number, "w" if number else "r", closefd=False)
            buffered = io.BufferedWriter(raw) if number else io.BufferedReader(raw)
            setattr(sys, name, io.TextIOWrapper(buffered, encoding="utf-8", errors="backslashreplace"))
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def is_about_output(error: OSError) -> bool:
    """Tells whether an error is that what was printed, or written to a temporary file, had nowhere to go.

    Args:
        error: Any error of the system; of a file with a name it is another matter.
    """
    no_folder = error.errno == errno.ENOENT and "temporary directory" in str(error.strerror)
    has_no_room = error.filename is None and (error.errno in _NO_WAY_OUT or no_folder)
    return isinstance(error, BrokenPipeError) or has_no_room


@contextmanager
def printing() -> Iterator[None]:
    """Ends the program where what it prints has nowhere to go: silently if nobody reads on, else in one line."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        if not is_about_output(error):
            raise
        # Python would say so again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise SystemExit(_NOBODY_READS) from None
        raise SystemExit(
            "Error: Expected room for what is printed and for temporary files, whose place TMPDIR may name. "
            f"Received: {error.strerror}."
        ) from None
