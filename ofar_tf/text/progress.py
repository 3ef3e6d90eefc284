"""How far long work has come: a bar on a terminal, a line a minute in a log."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ofar_tf.text.durations import format_duration
from ofar_tf.text.output_console import OutputConsole

_LINE_EVERY = 60.0


class WorkProgress:
    """Says how much of a piece of work is done, while it is entered.

    Args:
        total: How many parts the work has, at least 1.
        console: Where to print; standard output by default. What is not a terminal gets lines, at least a minute apart
            except the last one. A notebook counts as no terminal: rich would ask for ipywidgets.
        clock: Returns seconds.
    """

    def __init__(
        self, total: int, *, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total = total
        self.done = 0
        self._console = console or OutputConsole()
        self._clock = clock
        self._started = self._last = clock()
        self._bar: Progress | None = None
        if self._console.is_terminal and not self._console.is_jupyter:
            what = TextColumn("{task.description}", markup=False)
            self._bar = Progress(BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), what, console=self._console)
            self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> Self:
        """Begins: the bar is shown."""
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends: the bar stays as it is."""
        if self._bar:
            self._bar.stop()

    def advance(self, text: str, *, parts: int = 1) -> None:
        """Notes that parts of the work are done.

        Args:
            text: What was done, a few words.
            parts: How many.
        """
        self.done += parts
        if self._bar:
            self._bar.update(self._task, completed=self.done, description=text)
            return
        now = self._clock()
        if self.done >= self.total or now - self._last >= _LINE_EVERY:
            self._last = now
            self._console.print(self._line(text, now), markup=False, highlight=False, soft_wrap=True)

    def _line(self, text: str, now: float) -> str:
        elapsed = now - self._started
        left = f", about {format_duration(elapsed / self.done * (self.total - self.done))} left"
        return f"{self.done}/{self.total} after {format_duration(elapsed)}{left * (self.done < self.total)}: {text}"
