"""`seeds.csv` and `matrix.csv`: what every run of a matrix measured, and the means over seeds."""

import csv
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ofar_tf.evaluation.subnet_table import SubnetRow
from ofar_tf.files import atomic_file
from ofar_tf.tasks.task import Metric
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
        metric: What rows are compared by.
        mean: Its mean over the seeds.
        deviation: Its sample standard deviation (n - 1); `None` for one seed.
        seeds: The seeds.
    """

    name: str
    structure: str
    resolution: Size
    macs: int
    params: int
    metric: Metric
    mean: float
    deviation: float | None
    seeds: tuple[int, ...]

    @property
    def merit(self) -> float:
        """What rows are compared by, more being better."""
        return self.mean if self.metric.higher_is_better else -self.mean


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
    published = [subnet.scores.best for subnet in subnets]
    return MatrixRow(
        name=cell[0].name,
        structure=subnets[0].structure,
        resolution=subnets[0].resolution,
        macs=round(statistics.mean(subnet.macs for subnet in subnets)),
        params=round(statistics.mean(subnet.params for subnet in subnets)),
        metric=subnets[0].scores.metric,
        mean=statistics.mean(published),
        deviation=statistics.stdev(published) if len(published) > 1 else None,
        seeds=tuple(row.seed for row in cell),
    )


def write_seeds(path: Path, rows: Iterable[SeedRow]) -> None:
    """Writes `seeds.csv`: the name and the seed before every row of every `subnets.csv`."""
    cells = [{"name": row.name, "seed": row.seed, **row.subnet.cells()} for row in rows]
    _write(path, list(cells[0]) if cells else [], [list(row.values()) for row in cells])


def write_matrix(path: Path, rows: Iterable[MatrixRow]) -> None:
    """Writes `matrix.csv`: a line for each row, seeds with spaces between them, and `n`, how many they are."""
    shown = [_cells(row) for row in rows]
    _write(path, list(shown[0]) if shown else [], [list(cells.values()) for cells in shown])


def _cells(row: MatrixRow) -> dict[str, object]:
    return {
        **{name: getattr(row, name) for name in ("name", "structure", "resolution", "macs", "params")},
        row.metric.key: row.mean,
        f"{row.metric.key}_std": row.deviation,
        "seeds": " ".join(map(str, row.seeds)),
        "n": len(row.seeds),
    }


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with atomic_file.replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def print_matrix(rows: Sequence[MatrixRow], *, console: Console | None = None) -> None:
    """Prints the table; nothing where there are no rows."""
    if not rows:
        return
    metric = rows[0].metric
    title = f"{metric.column}: mean and standard deviation over seeds"
    table = Table(title=title, title_style="dim", title_justify="left")
    table.add_column("name")
    table.add_column("structure")
    for name in ("px", "MACs", "params", metric.column, "seeds"):
        table.add_column(name, justify="right")
    for row in rows:
        spread = "" if row.deviation is None else f" ± {metric.text(row.deviation)}"
        table.add_row(
            row.name,
            row.structure,
            str(row.resolution),
            format_quantity(row.macs),
            format_quantity(row.params),
            f"{metric.text(row.mean)}{spread}{metric.unit}",
            str(len(row.seeds)),
        )
    (console or table_console(table)).print(table)
