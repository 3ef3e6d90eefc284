"""`results.csv`: what each subnet reached after each epoch, and its drawing."""

import csv
import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from matplotlib.figure import Figure

from ofar_tf.evaluation.subnet_table import SubnetRow, columns
from ofar_tf.files import atomic_file
from ofar_tf.tasks.task import Metric
from ofar_tf.training.epoch_steps import EpochSteps


@dataclass(frozen=True)
class _Row:
    epoch: int
    phase: str
    learning_rate: float
    teacher_loss: float
    student_loss: float


class ResultsLog(keras.callbacks.Callback):
    """Measures every subnet after an epoch and appends a row for each to `results.csv`.

    Phase and learning rate are those that the epoch began with. The scores are also put into the epoch's logs, for
    instance as `val_<structure>_top1`: the progress bar shows them, TensorBoard draws them, and later callbacks can
    use them.

    Args:
        csv_path: The table. Rows of epochs that a resumed run repeats are removed first.
        figure_path: The drawing of the scores over the epochs.
        metric: What the task is measured by.
        measure: Measures the networks of an `OnceForAll` model.
        every: Epochs between measurements, at least 1; the last epoch is always measured.
        done: Epochs done before this start.
        steps: Knows what an epoch began with that an earlier start of the run has begun.

    Raises:
        ValueError: If `every` is less than 1, or the file that is there is no such table.
    """

    def __init__(
        self,
        csv_path: Path,
        figure_path: Path,
        *,
        metric: Metric,
        measure: Callable[[Any], Sequence[SubnetRow]],
        every: int = 1,
        done: int = 0,
        steps: EpochSteps | None = None,
    ):
        super().__init__()
        if every < 1:
            raise ValueError(f"Expected at least one epoch between measurements. Received: every={every}.")
        self.csv_path = csv_path
        self.figure_path = figure_path
        self.metric = metric
        self.measure = measure
        self.every = every
        self.steps = steps
        self.rows = [row for row in read_results(csv_path, metric) if int(row["epoch"]) <= done]
        self._phase = ""
        self._learning_rate = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Notes what the epoch begins with."""
        self._phase = self.model.phase
        self._learning_rate = self.steps.learning_rate if self.steps else float(self.model.optimizer.learning_rate)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Measures, writes and draws."""
        if (epoch + 1) % self.every and epoch + 1 < self.params["epochs"]:
            return
        logs = {} if logs is None else logs
        common = _Row(
            epoch=epoch + 1,
            phase=self._phase,
            learning_rate=self._learning_rate,
            teacher_loss=float(logs["teacher_loss"]),
            student_loss=float(logs.get("student_loss", math.nan)),
        )
        results = self.measure(self.model)
        self.rows += [{**dataclasses.asdict(common), **_cells(result)} for result in results]
        with atomic_file.replacing(self.csv_path) as path, path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        with atomic_file.replacing(self.figure_path) as temporary:
            draw_curves(self.rows, self.metric).savefig(temporary, dpi=120)
        logs.update({f"val_{result.structure}_{self.metric.key}": result.scores.best for result in results})


def _cells(row: SubnetRow) -> dict[str, Any]:
    """Returns a row's cells except the front, which one resolution alone does not have."""
    return {name: value for name, value in row.cells().items() if name != "pareto"}


def read_results(path: Path, metric: Metric) -> list[dict[str, Any]]:
    """Reads `results.csv`.

    Args:
        path: The file; where it is missing there are no rows yet.
        metric: What the task is measured by.

    Returns:
        Its rows, texts by column.

    Raises:
        ValueError: If it is another table, or damaged.
    """
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"Expected {path} to be a table of results. Received: {error}.") from error
    expected = [field.name for field in dataclasses.fields(_Row)]
    expected += [name for name in columns(metric) if name != "pareto"]
    if any(list(row) != expected or None in row.values() or not row["epoch"].isdecimal() for row in rows):
        raise ValueError(f"Expected {path} with the columns {', '.join(expected)}. Received: another table.")
    return rows


def draw_curves(rows: Sequence[dict[str, Any]], metric: Metric) -> Figure:
    """Draws the score of each structure over the epochs, and where the search ended.

    Args:
        rows: Rows of `results.csv`.
        metric: What the task is measured by.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.add_subplot()
    for structure in dict.fromkeys(row["structure"] for row in rows):
        own = [row for row in rows if row["structure"] == structure]
        epochs, scores = [int(row["epoch"]) for row in own], [metric.factor * float(row[metric.key]) for row in own]
        axis.plot(epochs, scores, marker=".", label=structure)
    searched = max((int(row["epoch"]) for row in rows if row["phase"] == "search"), default=0)
    if searched:
        axis.axvspan(0, searched, color="0.93", label="search")
    axis.set_xlabel("epoch")
    axis.set_ylabel(metric.heading)
    axis.grid(alpha=0.3)
    axis.legend()
    return figure
