"""`subnets.csv`: every structure of the pool at every resolution, measured."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ofar_tf.data.size import Size
from ofar_tf.files import atomic_file
from ofar_tf.tasks.task import Metric, Scores
from ofar_tf.text.command_line import command_line
from ofar_tf.text.quantities import format_quantity
from ofar_tf.text.tables import table_console


@dataclass(frozen=True)
class SubnetRow:
    """One structure at one resolution.

    Attributes:
        structure: Its name.
        rate: Its pruning rate, in [0, 1).
        resolution: What it sees.
        macs: Multiply-adds of one image.
        params: Number of weights.
        scores: What it reached.
        pareto: Whether no other row is at least as good in both score and MACs and better in one.
    """

    structure: str
    rate: float
    resolution: Size
    macs: int
    params: int
    scores: Scores
    pareto: bool = False

    @property
    def top1(self) -> float:
        """What rows are compared by: more is better."""
        return self.scores.merit

    def cells(self) -> dict[str, Any]:
        """Returns the row as it stands in files, by column."""
        return {
            "structure": self.structure,
            "rate": self.rate,
            "resolution": str(self.resolution),
            "macs": self.macs,
            "params": self.params,
            **self.scores.values,
            "images": self.scores.images,
            "pareto": self.pareto,
        }


def columns(metric: Metric) -> list[str]:
    """Lists the columns of a task's table."""
    return ["structure", "rate", "resolution", "macs", "params", *metric.columns, "images", "pareto"]


def write_subnets(path: Path, rows: Sequence[SubnetRow]) -> None:
    """Writes the table, whole or not at all."""
    with atomic_file.replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0].cells()))
        writer.writeheader()
        writer.writerows(row.cells() for row in rows)


def read_subnets(path: Path, metric: Metric) -> list[SubnetRow]:
    """Reads the table.

    Args:
        path: The file.
        metric: That of the run's task.

    Raises:
        FileNotFoundError: If the run was not evaluated.
        ValueError: If the file is no such table.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"Expected an evaluated run, by {command_line('evaluate', run_dir=path.parent)}. Received: no {path}."
        )
    with path.open(newline="") as file:
        try:
            return [_parse(row, metric) for row in csv.DictReader(file)]
        except (TypeError, ValueError, KeyError, OverflowError, csv.Error) as error:
            raise ValueError(f"Expected the table of ofar_tf.evaluate in {path}. Received: {error!r}.") from error


def _parse(row: dict[str, str], metric: Metric) -> SubnetRow:
    return SubnetRow(
        structure=row["structure"],
        rate=float(row["rate"]),
        resolution=Size.parse(row["resolution"]),
        macs=int(row["macs"]),
        params=int(row["params"]),
        scores=Scores(metric, {name: float(row[name]) for name in metric.columns}, int(row["images"])),
        pareto=row["pareto"] == "True",
    )


def print_subnets(rows: Sequence[SubnetRow], *, console: Console | None = None) -> None:
    """Prints the table; rows that no other row beats are marked."""
    table = Table(
        title="* on the Pareto front: nothing cheaper is as accurate", title_style="dim", title_justify="left"
    )
    table.add_column("structure")
    for name in ("rate", "px", "MACs", "params", *rows[0].scores.metric.columns.values()):
        table.add_column(name, justify="right")
    table.add_column("")
    for row in rows:
        table.add_row(
            row.structure,
            f"{row.rate:.1%}",
            str(row.resolution),
            format_quantity(row.macs),
            format_quantity(row.params),
            *(f"{value:.2%}" for value in row.scores.values.values()),
            "*" if row.pareto else "",
        )
    (console or table_console()).print(table)
