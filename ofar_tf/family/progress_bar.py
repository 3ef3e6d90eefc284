"""One bar over all the steps of an export, with the last step beside it."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class ProgressBar:
    """Shows how many steps are done, inside a `with` block.

    Args:
        total: How many steps there are.
        console: Where it is shown; None for standard output.
    """

    def __init__(self, *, total: int, console: Console | None) -> None:
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        self._progress = Progress(*columns, console=console)
        self._task = self._progress.add_task("", total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def advance(self, step: str) -> None:
        """Counts a step that is done, and names it."""
        self._progress.update(self._task, advance=1, description=step)
