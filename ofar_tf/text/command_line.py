"""Commands as they are printed for people: what can be copied into a shell as it is."""

import os
import shlex
import shutil
import sys
from itertools import pairwise

_SCRIPT = "ofar"


def command_line(command: str, **flags: object) -> str:
    """Writes a command of this package with its flags, quoted for a shell.

    It begins as the command that runs now: what found this package once finds it again, also in an environment that is
    not activated. Where no command runs, it begins as in the documents.

    Args:
        command: Its name: `evaluate`.
        **flags: Values by the names of the flags; those that are `None` are left out.

    Returns:
        For instance `ofar evaluate --run_dir='my runs/one'`.
    """
    given = [f"--{name}={shlex.quote(str(value))}" for name, value in flags.items() if value is not None]
    return " ".join([shlex.join(_program(sys.orig_argv)), command, *given])


def _program(started: list[str]) -> list[str]:
    """Finds the words before a command's name in a command line: those of Python too, as `-m` wants them."""
    for at, (before, word) in enumerate(pairwise(started), start=1):
        if before == "-m" and word.partition(".")[0] == "ofar_tf":
            return [*started[:at], "ofar_tf"]
    folder, name = os.path.split(started[1] if len(started) > 1 else "")
    # Python is given the whole path of a script that was found on the PATH. A Path would lose the dot of `./ofar`.
    path = os.path.join(folder, _SCRIPT)  # noqa: PTH118
    return [path if name.partition("-")[0] == _SCRIPT and shutil.which(_SCRIPT) != path else _SCRIPT]
