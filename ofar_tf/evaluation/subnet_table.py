"""`subnets.csv`: every structure of the pool at every resolution, measured."""

import csv
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ofar_tf.files import atomic_file
from ofar_tf.tasks.task import Metric, Scores
from ofar_tf.text.command_line import command_line
from ofar_tf.text.quantities import format_quantity
from ofar_tf.text.size import Size
from ofar_tf.text.tables import table_console

TITLE = "* on the Pareto front: nothing cheaper is as accurate, as far as the images can tell"


@dataclass(frozen=True)
class SubnetRow:
    """One structure at one resolution.

    Attributes:
        structure: Its name.
        rate: Its pruning rate, in [0, 1).
        resolution: What it sees.
        macs: Multiply-adds of one image, of what is pruned (`Costs.macs`).
        params: Number of weights.
        scores: What it reached on the evaluation split, which is published.
        selection: What it reached on the selection split, which choices are made on; None where it is the same.
        pareto: Whether every cheaper row on the front is worse by more than the noise (`pareto_front`), by the scores
            that choices are made on.
        predicted_ms: Milliseconds of one image as predicted for the device of the run; None where there is none.
        total_macs: Multiply-adds of one image with those of layers that serve all structures, as a detector's neck and
            heads; None where there are no such layers.
    """

    structure: str
    rate: float
    resolution: Size
    macs: int
    params: int
    scores: Scores
    selection: Scores | None = None
    pareto: bool = False
    predicted_ms: float | None = None
    total_macs: int | None = None

    @property
    def merit(self) -> float:
        """What rows are compared by: more is better."""
        return self.choice.merit

    @property
    def images(self) -> int:
        """How many images were measured."""
        return self.scores.images

    @property
    def choice(self) -> Scores:
        """The scores that choices are made on."""
        return self.selection or self.scores

    def cells(self) -> dict[str, Any]:
        """Returns the row as it stands in files, by column."""
        cells = {
            "structure": self.structure,
            "rate": self.rate,
            "resolution": str(self.resolution),
            "macs": self.macs,
            "params": self.params,
            **self.scores.values,
            "images": self.scores.images,
            "pareto": self.pareto,
        }
        if self.predicted_ms is not None:
            cells["predicted_ms"] = self.predicted_ms
        if self.total_macs is not None:
            cells["total_macs"] = self.total_macs
        if self.selection:
            key = self.selection.metric.key
            cells |= {f"selection_{key}": self.selection.best, "selection_images": self.selection.images}
        return cells


def columns(metric: Metric) -> list[str]:
    """Lists the columns that every table of a task has."""
    return ["structure", "rate", "resolution", "macs", "params", *metric.columns, "images", "pareto"]


def write_subnets(path: Path, rows: Sequence[SubnetRow]) -> None:
    """Writes the table, whole or not at all."""
    with atomic_file.replacing(path) as temporary, temporary.open("w", newline="") as file:
        cells = [row.cells() for row in rows]
        writer = csv.DictWriter(file, fieldnames=list(dict.fromkeys(itertools.chain.from_iterable(cells))))
        writer.writeheader()
        writer.writerows(cells)


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
            raise ValueError(f"Expected the table of ofar evaluate in {path}. Received: {error!r}.") from error


def _parse(row: Mapping[str, str], metric: Metric) -> SubnetRow:
    """Reads a row; columns that an older version did not write are as if they were empty."""
    selection = None
    if row.get("selection_images"):
        # Of the selection split the table has what choices are made on.
        best = float(row[f"selection_{metric.key}"])
        selection = Scores(metric, dict.fromkeys(metric.columns, best), int(row["selection_images"]))
    return SubnetRow(
        structure=row["structure"],
        rate=float(row["rate"]),
        resolution=Size.parse(row["resolution"]),
        macs=int(row["macs"]),
        params=int(row["params"]),
        scores=Scores(metric, {name: float(row[name]) for name in metric.columns}, int(row["images"])),
        selection=selection,
        pareto=row["pareto"] == "True",
        predicted_ms=_positive(row["predicted_ms"]) if row.get("predicted_ms") else None,
        total_macs=int(row["total_macs"]) if row.get("total_macs") else None,
    )


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(f"a time of {text} milliseconds")
    return value


def print_subnets(rows: Sequence[SubnetRow], *, console: Console | None = None) -> None:
    """Prints the table; rows that no other row beats by more than the noise are marked."""
    table = drawn_table(rows)
    (console or table_console(table)).print(table)


def drawn_table(rows: Sequence[SubnetRow]) -> Table:
    """Returns what `print_subnets` prints.

    Args:
        rows: At least one.
    """
    table = Table(title=TITLE, title_style="dim", title_justify="left", caption=caption_of(rows))
    titles, texts = table_cells(rows)
    for name in titles:
        table.add_column(name, justify="left" if name in ("structure", "") else "right")
    for row in texts:
        table.add_row(*row)
    return table


def caption_of(rows: Sequence[SubnetRow]) -> str:
    """Says what the columns of scores are.

    Args:
        rows: At least one.
    """
    metric, selected = rows[0].scores.metric, any(row.selection for row in rows)
    first = metric.columns[metric.key]
    interval = f"95 %: the interval of {first}; " if metric.counts_images else ""
    predicted = "; ~ms: predicted for the device of the run" if any(row.predicted_ms for row in rows) else ""
    total = "; all MACs: with layers that serve every structure" if any(row.total_macs for row in rows) else ""
    choice = f"select: {first} on the selection split" if selected else "choices are made on the same images"
    return interval + choice + predicted + total


def table_cells(rows: Sequence[SubnetRow]) -> tuple[list[str], list[list[str]]]:
    """Returns the titles of the columns, and for each row its texts.

    Args:
        rows: At least one.
    """
    selected = any(row.selection for row in rows)
    timed = any(row.predicted_ms is not None for row in rows)
    served = any(row.total_macs is not None for row in rows)
    titles = [title for title, _ in _score_cells(rows[0], selected=selected)]
    texts = [
        [
            row.structure,
            f"{row.rate:.1%}",
            str(row.resolution),
            format_quantity(row.macs),
            *([format_quantity(row.total_macs or row.macs)] if served else []),
            format_quantity(row.params),
            *([f"{row.predicted_ms:.3g}" if row.predicted_ms else ""] if timed else []),
            *(cell for _, cell in _score_cells(row, selected=selected)),
            "*" if row.pareto else "",
        ]
        for row in rows
    ]
    costs = ["MACs", *(["all MACs"] if served else []), "params", *(["~ms"] if timed else [])]
    return ["structure", "rate", "px", *costs, *titles, ""], texts


def _score_cells(row: SubnetRow, *, selected: bool) -> list[tuple[str, str]]:
    """Returns titles and texts of a row's scores, the interval behind the one that decides."""
    cells = []
    for name, title in row.scores.metric.columns.items():
        cells.append((title, row.scores.metric.brief(row.scores.values[name])))
        if name == row.scores.metric.key and row.scores.interval:
            cells.append(("95 %", "{:.1f}-{:.1f}".format(*(100 * end for end in row.scores.interval))))
    return [*cells, ("select", row.choice.metric.brief(row.choice.best))] if selected else cells
