"""How a command ends that is stopped: in one line, and with the status that shells give for the signal."""

import os
import signal
import sys
from typing import Any

STOPPED = "Stopped. What was finished is kept: the same command goes on from there."
"""What a command says that Ctrl-C or SIGTERM ended."""


def is_command() -> bool:
    """Returns whether Python was started as `python -m ofar_tf` or `python -m ofar_tf.COMMAND`, and still loads it."""
    # While the module is looked for, and its package imported, it is not named yet.
    named = [argument.split(".") for argument in sys.orig_argv[1:] if argument.split(".")[0] == "ofar_tf"]
    return sys.argv[:1] == ["-m"] and any(len(parts) <= 2 for parts in named)


def stop_while_loading() -> None:
    """Lets Ctrl-C and SIGTERM end the program at once: nothing was begun that would have to be cleaned up.

    For the time until `ofar_tf.flags.run` takes over; a signal that is ignored, or that somebody has taken, stays so.
    """
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        if signal.getsignal(number) == usual:
            signal.signal(number, _end)


def loaded() -> None:
    """Gives Ctrl-C back its usual meaning, `KeyboardInterrupt`, if `stop_while_loading` took it."""
    if signal.getsignal(signal.SIGINT) == _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: Any) -> None:
    # By the system's own means: Python may be in the middle of an import.
    os.write(2, f"{STOPPED}\n".encode())
    os._exit(128 + number)
