"""A quiet start: what libraries print about themselves while they are loaded."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_SCREEN = 2  # Standard error, as the system counts.


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Keeps what TensorFlow's libraries print while they are loaded off the screen, unless loading fails.

    They write about oneDNN and CUDA straight to the file descriptor, before any setting of theirs is read. Where there
    is no standard error nothing is held.
    """
    with tempfile.TemporaryFile() as held:
        try:
            screen = os.dup(_SCREEN)
        except OSError:
            yield
            return
        sys.stderr.flush()
        os.dup2(held.fileno(), _SCREEN)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(screen, held.read())
            raise
        finally:
            os.dup2(screen, _SCREEN)
            os.close(screen)
