"""What a benchmark found: rows of a table, and a list of JSON objects."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        name: What was measured, with its unit where it is no ratio.
        value: The figure.
        target: What it is held against, such as `<= 1.03`; `None` where it is only reported.
    """

    name: str
    value: float
    target: str | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the figure meets its target; `None` if there is none."""
        if self.target is None:
            return None
        sign, limit = self.target.split()
        return {"<=": self.value <= float(limit), "<": self.value < float(limit), ">=": self.value >= float(limit)}[
            sign
        ]


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Writes rows as a list of `{"name", "value", "target", "holds"}`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([{**asdict(row), "holds": row.holds} for row in rows], indent=1) + "\n")


def read_rows(path: Path) -> list[Row]:
    """Reads what `write_rows` wrote."""
    return [Row(row["name"], row["value"], row["target"]) for row in json.loads(path.read_text())]


def print_rows(rows: Sequence[Row]) -> None:
    """Prints the table."""
    table = Table("what", "value", "target", "")
    for row in rows:
        verdict = {None: "", True: "holds", False: "[bold red]missed[/]"}[row.holds]
        table.add_row(row.name, f"{row.value:.3g}", row.target or "", verdict)
    Console(width=140).print(table)
