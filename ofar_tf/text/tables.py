"""Where tables are printed."""

from rich.console import Console

_LEAST_WIDTH = 110


def table_console() -> Console:
    """Returns standard output, wide enough for whole rows.

    Rich takes a log file for 80 columns wide and cuts numbers off; a row that wraps in a terminal can still be read.
    """
    return Console(width=max(Console().width, _LEAST_WIDTH))
