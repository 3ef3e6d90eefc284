"""Where tables are printed."""

import io

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from ofar_tf.text.output_console import OutputConsole

_LEAST_WIDTH, _MOST_WIDTH = 110, 1000


def table_console(table: Table | None = None) -> Console:
    """Returns standard output, wide enough for whole rows.

    Rich takes a log file for 80 columns wide and cuts numbers off; a row that wraps in a terminal can still be read.

    Args:
        table: What is printed there, if its cells are too short to be broken: no row of it is cut.
    """
    console = OutputConsole(width=max(OutputConsole().width, _LEAST_WIDTH))
    if table is not None:
        _widen(console, table)
    return console


def table_text(table: Table) -> str:
    """Draws a table whose cells are too short to be broken: no row of it is cut, however wide the terminal is.

    Args:
        table: The table.
    """
    console = Console(width=_LEAST_WIDTH, record=True, file=io.StringIO())
    _widen(console, table)
    console.print(table)
    return "\n".join(line.rstrip() for line in console.export_text().splitlines())


def _widen(console: Console, table: Table) -> None:
    options = console.options.update(max_width=_MOST_WIDTH)
    console.width = max(console.width, Measurement.get(console, options, table).maximum)
