"""A machine that is about to be taken away: the system says so by SIGTERM, some time before."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class PreemptedError(RuntimeError):
    """The run was asked to end, and has ended where it can go on from."""


class Preemption:
    """Notes that the process was asked to end, so that it does so after a step and not within one.

    Attributes:
        requested: Whether it was.
        something_to_lose: Whether a step was done that no checkpoint holds; until then the process ends at once.
    """

    def __init__(self) -> None:
        self.requested = False
        self.something_to_lose = False

    @contextmanager
    def noticed(self) -> Iterator[None]:
        """Takes SIGTERM for a notice while it is entered. Outside of the main thread nothing can be noticed."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _note(self, number: int, frame: Any) -> None:
        self.requested = True
        if not self.something_to_lose:
            self.end()

    def end(self) -> None:
        """Ends the run.

        Raises:
            PreemptedError: Always.
        """
        raise PreemptedError("Stopped by SIGTERM. All finished steps are kept: the same command goes on from there.")
