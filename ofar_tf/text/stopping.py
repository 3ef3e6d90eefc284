"""How a command ends that is stopped: in one line, and with the status that shells give for the signal."""

import os
import signal
import sys
from typing import Any

STOPPED = "Stopped. What was finished is kept: the same command goes on from there."
"""What a command says that a signal ended."""

# Job schedulers and machines that are taken away send SIGTERM, terminals and connections that are closed SIGHUP.
NOTICES = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""The signals by which the system, not the user at the keyboard, asks a program to end."""

_STOPPING = (signal.SIGINT, *NOTICES)


class StoppedError(KeyboardInterrupt):
    """A signal asked the program to end; whoever cleans up after Ctrl-C does so after this.

    Args:
        number: The signal.
    """

    def __init__(self, number: int):
        super().__init__()
        self.number = number


def status_of(interrupt: KeyboardInterrupt) -> int:
    """Returns what shells give a command that was ended so; libraries raise Python's own interrupt, which is Ctrl-C."""
    return 128 + (interrupt.number if isinstance(interrupt, StoppedError) else signal.SIGINT)


def is_command() -> bool:
    """Returns whether Python was started as `python -m ofar_tf` or `python -m ofar_tf.COMMAND`, and still loads it."""
    # While the module is looked for, and its package imported, it is not named yet.
    named = [argument.split(".") for argument in sys.orig_argv[1:] if argument.split(".")[0] == "ofar_tf"]
    return sys.argv[:1] == ["-m"] and any(len(parts) <= 2 for parts in named)


def stop_while_loading() -> None:
    """Lets signals end the program at once: nothing was begun that would have to be cleaned up.

    For the time until `ofar_tf.flags.run` takes over; a signal that is ignored, or that somebody has taken, stays so.
    """
    for number in _STOPPING:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)


def stop_in_order() -> None:
    """Lets signals raise `StoppedError`; one that is ignored, as `nohup` and shells in the background do, stays so."""
    _give(_raise)


def stop_at_once() -> None:
    """Lets signals end the program without a word: for its end, after all was cleaned up and said.

    Python takes seconds to end with TensorFlow in it; a second Ctrl-C would print a traceback out of the middle of it.
    """
    _give(lambda number, frame: os._exit(128 + number))


def _give(handler: Any) -> None:
    for number in _STOPPING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def _raise(number: int, frame: Any) -> None:
    raise StoppedError(number)


def _end(number: int, frame: Any) -> None:
    # By the system's own means: Python may be in the middle of an import.
    os.write(2, f"{STOPPED}\n".encode())
    os._exit(128 + number)
