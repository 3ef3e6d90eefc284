"""A machine that is about to be taken away: the system says so by SIGTERM, some time before."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ofar_tf.text.stopping import NOTICES


class PreemptedError(RuntimeError):
    """The run was asked to end, and has ended where it can go on from.

    Args:
        number: The signal.

    Attributes:
        status: What shells give a command that it ended.
    """

    def __init__(self, number: int):
        name = signal.Signals(number).name
        super().__init__(f"Stopped by {name}. All finished steps are kept: the same command goes on from there.")
        self.status = 128 + number


class Preemption:
    """Notes that the process was asked to end, so that it does so after a step and not within one.

    Attributes:
        requested: The signal that asked for it, 0 as long as there was none.
        something_to_lose: Whether a step was done that no checkpoint holds; until then the process ends at once.
    """

    def __init__(self) -> None:
        self.requested = 0
        self.something_to_lose = False

    @contextmanager
    def noticed(self) -> Iterator[None]:
        """Takes SIGTERM for a notice while it is entered, and SIGHUP, which a connection that breaks off sends.

        A signal that is ignored stays so. Outside of the main thread nothing can be noticed.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: handler for number in NOTICES if (handler := signal.getsignal(number)) != signal.SIG_IGN}
        for number in before:
            signal.signal(number, self._note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: Any) -> None:
        self.requested = number
        if not self.something_to_lose:
            self.end()

    def end(self) -> None:
        """Ends the run.

        Raises:
            PreemptedError: Always.
        """
        raise PreemptedError(self.requested)
