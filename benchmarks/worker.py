"""A program that is timed in a process of its own, in turn with what is timed here."""

import json
import subprocess
from collections.abc import Sequence
from typing import Any


class Worker:
    """A process that answers each line of JSON with another.

    Args:
        command: The program and its arguments.
    """

    def __init__(self, command: Sequence[Any]):
        self._process = subprocess.Popen([*map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, question: Any) -> Any:
        """Returns the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        """Lets the process end."""
        self._process.communicate()
