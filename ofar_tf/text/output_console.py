"""Where progress and tables are printed."""

from typing import NoReturn

from rich.console import Console


class OutputConsole(Console):
    """Rich's console, but where nobody reads on it raises `BrokenPipeError` as `print` does.

    Rich's own would end the program with status 1, which says of an export that a file failed its check.
    """

    def on_broken_pipe(self) -> NoReturn:
        """Raises what the system raised."""
        raise  # Rich calls this while it handles the error.
