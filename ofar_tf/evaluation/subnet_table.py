"""`subnets.csv`: every structure of the pool at every resolution, measured."""

import csv
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ofar_tf.files import atomic_file
from ofar_tf.text.quantities import format_quantity
from ofar_tf.text.tables import table_console
from ofar_tf.training.subnet_result import SubnetResult


@dataclass(frozen=True)
class SubnetRow(SubnetResult):
    """One structure at one resolution, among the others.

    Attributes:
        pareto: Whether no other row is at least as good in both accuracy and MACs and better in one.
    """

    pareto: bool


def write_subnets(path: Path, rows: Sequence[SubnetRow]) -> None:
    """Writes the table, whole or not at all."""
    with atomic_file.replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(field.name for field in dataclasses.fields(SubnetRow))
        writer.writerows(dataclasses.astuple(row) for row in rows)


def read_subnets(path: Path) -> list[SubnetRow]:
    """Reads the table.

    Raises:
        FileNotFoundError: If the run was not evaluated.
        ValueError: If the file is no such table.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"Expected an evaluated run, by python -m ofar_tf.evaluate --run_dir={path.parent}. Received: no {path}."
        )
    with path.open(newline="") as file:
        try:
            return [_parse(row) for row in csv.DictReader(file)]
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(f"Expected the table of ofar_tf.evaluate in {path}. Received: {error!r}.") from error


def _parse(row: dict[str, str]) -> SubnetRow:
    values: dict[str, Any] = {
        field.name: row[field.name] == "True" if field.type is bool else field.type(row[field.name])  # type: ignore
        for field in dataclasses.fields(SubnetRow)
    }
    return SubnetRow(**values)


def print_subnets(rows: Sequence[SubnetRow], *, console: Console | None = None) -> None:
    """Prints the table; rows that no other row beats are marked."""
    table = Table(
        title="* on the Pareto front: nothing cheaper is as accurate", title_style="dim", title_justify="left"
    )
    table.add_column("structure")
    for name in ("rate", "px", "MACs", "params", "top-1", "top-5"):
        table.add_column(name, justify="right")
    table.add_column("")
    for row in rows:
        table.add_row(
            row.structure,
            f"{row.rate:.1%}",
            str(row.resolution),
            format_quantity(row.macs),
            format_quantity(row.params),
            f"{row.top1:.2%}",
            f"{row.top5:.2%}",
            "*" if row.pareto else "",
        )
    (console or table_console()).print(table)
