"""Where tables are printed."""

from rich.console import Console

_LEAST_WIDTH = 110


def table_console() -> Console:
    """Returns standard output, wide enough for whole rows.

    Rich takes a log file, or a narrow terminal, for 80 columns and cuts numbers off; a row that wraps can still be read.
    """
    return Console(width=max(Console().width, _LEAST_WIDTH))
