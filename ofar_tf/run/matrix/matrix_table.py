"""`seeds.csv` and `matrix.csv`: what every run of a matrix measured, and the means over seeds."""

import csv
import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ofar_tf.evaluation.subnet_table import SubnetRow
from ofar_tf.files import atomic_file
from ofar_tf.text.quantities import format_quantity
from ofar_tf.text.size import Size
from ofar_tf.text.tables import table_console


@dataclass(frozen=True)
class SeedRow:
    """What one run measured on one structure at one resolution.

    Attributes:
        name: The name of the run.
        seed: Its seed.
        subnet: The row of its `subnets.csv`.
    """

    name: str
    seed: int
    subnet: SubnetRow


@dataclass(frozen=True)
class MatrixRow:
    """One structure at one resolution, over the seeds of a name.

    Attributes:
        name: The name of the runs.
        structure: The name of the structure.
        resolution: What it sees.
        macs: Multiply-adds of one image, the mean over seeds: each seed searches its own structure.
        params: Number of weights, the mean likewise.
        top1: Top-1 accuracy in [0, 1], the mean.
        top1_std: Its sample standard deviation (n - 1); `None` for one seed.
        seeds: The seeds.
    """

    name: str
    structure: str
    resolution: Size
    macs: int
    params: int
    top1: float
    top1_std: float | None
    seeds: tuple[int, ...]

    @property
    def merit(self) -> float:
        """What rows are compared by."""
        return self.top1


def mean_over_seeds(rows: Iterable[SeedRow]) -> list[MatrixRow]:
    """Brings the seeds of each name, structure and resolution together.

    Args:
        rows: What the runs measured, in any order.

    Returns:
        A row for each name, structure and resolution, in the order in which they first appear.
    """
    cells: dict[tuple[str, str, Size], list[SeedRow]] = {}
    for row in rows:
        cells.setdefault((row.name, row.subnet.structure, row.subnet.resolution), []).append(row)
    return [_mean(cell) for cell in cells.values()]


def _mean(cell: Sequence[SeedRow]) -> MatrixRow:
    subnets = [row.subnet for row in cell]
    # What is published, not what choices were made on.
    top1 = [subnet.scores.best for subnet in subnets]
    return MatrixRow(
        name=cell[0].name,
        structure=subnets[0].structure,
        resolution=subnets[0].resolution,
        macs=round(statistics.mean(subnet.macs for subnet in subnets)),
        params=round(statistics.mean(subnet.params for subnet in subnets)),
        top1=statistics.mean(top1),
        top1_std=statistics.stdev(top1) if len(top1) > 1 else None,
        seeds=tuple(row.seed for row in cell),
    )


def write_seeds(path: Path, rows: Iterable[SeedRow]) -> None:
    """Writes `seeds.csv`: the name and the seed before every row of every `subnets.csv`."""
    cells = [{"name": row.name, "seed": row.seed, **row.subnet.cells()} for row in rows]
    _write(path, list(cells[0]) if cells else [], [list(row.values()) for row in cells])


def write_matrix(path: Path, rows: Iterable[MatrixRow]) -> None:
    """Writes `matrix.csv`: the fields of `MatrixRow`, seeds with spaces between them, and `n`, how many they are."""
    header = [*(field.name for field in dataclasses.fields(MatrixRow)), "n"]
    shown = [{**vars(row), "seeds": " ".join(map(str, row.seeds)), "n": len(row.seeds)} for row in rows]
    _write(path, header, [list(row.values()) for row in shown])


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with atomic_file.replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def print_matrix(rows: Sequence[MatrixRow], *, console: Console | None = None) -> None:
    """Prints the table."""
    table = Table(title="top-1: mean and standard deviation over seeds", title_style="dim", title_justify="left")
    table.add_column("name")
    table.add_column("structure")
    for name in ("px", "MACs", "params", "top-1", "seeds"):
        table.add_column(name, justify="right")
    for row in rows:
        spread = "" if row.top1_std is None else f" ± {100 * row.top1_std:.2f}"
        table.add_row(
            row.name,
            row.structure,
            str(row.resolution),
            format_quantity(row.macs),
            format_quantity(row.params),
            f"{100 * row.top1:.2f}{spread} %",
            str(len(row.seeds)),
        )
    (console or table_console(table)).print(table)
