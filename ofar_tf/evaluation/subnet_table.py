"""`subnets.csv`: every structure of the pool at every resolution, measured."""

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ofar_tf.evaluation.accuracy import Accuracy
from ofar_tf.evaluation.uncertainty import noise_of
from ofar_tf.files import atomic_file
from ofar_tf.text.quantities import format_quantity
from ofar_tf.text.tables import table_console


@dataclass(frozen=True)
class SubnetRow:
    """One structure at one resolution.

    Attributes:
        structure: Its name.
        rate: Its pruning rate, in [0, 1).
        resolution: Pixels.
        macs: Multiply-adds of one image.
        params: Number of weights.
        top1: Top-1 accuracy, in [0, 1].
        top5: Top-5 accuracy, in [0, 1].
        images: How many images were measured.
        pareto: Whether every cheaper row on the front is less accurate by more than the noise (`pareto_front`), by the
            figures that choices are made on.
        selection_top1: Top-1 accuracy on the selection split, which choices are made on; None where it is the
            evaluation split.
        selection_images: How many images of it were measured; None where there is none.
    """

    structure: str
    rate: float
    resolution: int
    macs: int
    params: int
    top1: float
    top5: float
    images: int
    pareto: bool
    selection_top1: float | None = None
    selection_images: int | None = None

    def __post_init__(self) -> None:
        if (self.selection_top1 is None) != (self.selection_images is None):
            raise ValueError(f"Expected an accuracy on the selection split with its images. Received: {self}.")

    @property
    def measured(self) -> Accuracy:
        """The accuracy on the evaluation split, which is published."""
        return Accuracy(top1=self.top1, top5=self.top5, images=self.images)

    @property
    def choice_top1(self) -> float:
        """The accuracy that choices are made on: that of the selection split, if there is one."""
        return self.top1 if self.selection_top1 is None else self.selection_top1

    @property
    def choice_noise(self) -> float:
        """How much more accurate another must be before the difference counts (`noise_of`)."""
        return noise_of(self.choice_top1, self.selection_images or self.images)


_INTERVAL = ("top1_low", "top1_high")
"""Columns beside the fields: Wilson's 95 % interval of the accuracy."""


def write_subnets(path: Path, rows: Sequence[SubnetRow]) -> None:
    """Writes the table, whole or not at all, with the 95 % interval of each accuracy at the end of the row."""
    columns = columns_of(rows)
    with atomic_file.replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, *_INTERVAL])
        writer.writerows([*values_of(row, columns), *row.measured.interval] for row in rows)


def columns_of(rows: Sequence[SubnetRow]) -> list[str]:
    """Names the facts that a table of rows has columns for.

    Args:
        rows: The rows.

    Returns:
        The fields that every row has, and the others where any row has them.
    """
    known = dataclasses.fields(SubnetRow)
    return [f.name for f in known if f.default is MISSING or any(getattr(row, f.name) is not None for row in rows)]


def values_of(row: SubnetRow, columns: Sequence[str]) -> list[Any]:
    """Returns the facts of a row, in the order of the columns."""
    return [getattr(row, name) for name in columns]


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


def _parse(row: Mapping[str, str]) -> SubnetRow:
    """Reads a row; columns that an older version did not write are as if they were empty."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(SubnetRow):
        text = row[field.name] if field.default is MISSING else row.get(field.name, "")
        kind = _KINDS.get(field.name, field.type)
        if text or field.default is MISSING:
            values[field.name] = text == "True" if kind is bool else kind(text)  # type: ignore[operator]
    return SubnetRow(**values)


_KINDS: Mapping[str, type] = {"selection_top1": float, "selection_images": int}


def print_subnets(rows: Sequence[SubnetRow], *, console: Console | None = None) -> None:
    """Prints the table; rows that no other row beats by more than the noise are marked."""
    selected = any(row.selection_top1 is not None for row in rows)
    title = "* on the Pareto front: nothing cheaper is as accurate, as far as the images can tell"
    table = Table(title=title, title_style="dim", title_justify="left")
    table.caption = "95 %: the interval of top-1" + (
        "; select: top-1 on the selection split" if selected else "; choices are made on the same images"
    )
    table.add_column("structure")
    for name in ("rate", "px", "MACs", "params", "top-1", "95 %", "top-5", *(["select"] if selected else [])):
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
            "{:.1f}-{:.1f}".format(*(100 * bound for bound in row.measured.interval)),
            f"{row.top5:.2%}",
            *([f"{row.choice_top1:.2%}"] if selected else []),
            "*" if row.pareto else "",
        )
    (console or table_console()).print(table)
