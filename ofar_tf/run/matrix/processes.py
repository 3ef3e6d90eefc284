"""Commands of this package in processes of their own: what one of them leaks or breaks ends with it."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ofar_tf.files.folder_lock import FolderLock

Program = Callable[[str], list[str]]


def python_module(command: str) -> list[str]:
    """Returns the command line of a command of this package, without its flags."""
    return [sys.executable, "-m", f"ofar_tf.{command}"]


@dataclass(frozen=True)
class Processes:
    """Starts commands, one at a time.

    Attributes:
        program: Turns the name of a command into the beginning of its command line.
        lock: Of the folder they work in. A command keeps it as long as it lives, even after its caller was killed: so
            nobody starts a second one beside it.
    """

    program: Program
    lock: FolderLock

    def call(self, command: str, arguments: Sequence[str], *, log: Path) -> str | None:
        """Runs a command to its end. If the caller is interrupted, the command is ended too.

        Args:
            command: Its name: `train`.
            arguments: Its flags.
            log: Gets the command line and all that the command prints, behind what it holds; created if missing.

        Returns:
            How the command failed, in one line, `None` if it did not.

        Raises:
            OSError: If the log cannot be written.
        """
        line = [*self.program(command), *arguments]
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            print(f"$ {shlex.join(line)}", file=file, flush=True)
            start = file.tell()
            status = self._wait(line, output=file.fileno())
        return f"{command} {_ending(status)}{_last_line(log, start)}" if status else None

    def _wait(self, line: Sequence[str], *, output: int) -> int:
        process = subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            **self.lock.for_heirs(),
        )
        try:
            return process.wait()
        except BaseException:
            # Whatever a run writes appears whole or not at all: it may end anywhere.
            process.terminate()
            process.wait()
            raise


def _ending(status: int) -> str:
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"


def _last_line(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(start)
        printed = file.read().decode(errors="replace").split("\n")
    lines = [line.strip() for line in printed if line.strip()]
    return f": {lines[-1]}" if lines else ""
