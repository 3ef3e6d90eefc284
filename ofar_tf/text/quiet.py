"""A quiet start: what libraries print about themselves while they are loaded."""

import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_SCREEN = 2  # Standard error, as the system counts.
# There is one standard error for all threads.
_HELD = threading.RLock()


@contextmanager
def quiet_start() -> Iterator[None]:
    """Keeps off the screen what TensorFlow's libraries print when they are first used, unless that fails.

    They write about oneDNN, CUDA and XNNPACK straight to the file descriptor, before any setting of theirs is read.
    Where there is no standard error nothing is held.
    """
    with _HELD, tempfile.TemporaryFile() as held:
        try:
            screen = os.dup(_SCREEN)
        except OSError:
            yield
            return
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(held.fileno(), _SCREEN)
        try:
            with warnings.catch_warnings():
                # tqdm's, in notebooks: it asks for a package that nothing here needs.
                warnings.filterwarnings("ignore", message="IProgress not found")
                yield
        except Exception:
            held.seek(0)
            os.write(screen, held.read())
            raise
        finally:
            os.dup2(screen, _SCREEN)
            os.close(screen)
