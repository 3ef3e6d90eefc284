"""All that the evaluation of a pool found, kept beside its table: an export need not find it again."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import keras
import numpy as np

from ofar_tf.evaluation.batch_norm_calibration import Statistics
from ofar_tf.evaluation.subnet_table import (
    TITLE,
    SubnetRow,
    caption_of,
    drawn_table,
    read_subnets,
    table_cells,
    write_subnets,
)
from ofar_tf.files import atomic_file
from ofar_tf.tasks.task import Metric
from ofar_tf.text.html_tables import html_table
from ofar_tf.text.size import Size
from ofar_tf.text.tables import table_text

Place = tuple[str, Size]
"""The name of a structure, and what it sees."""


@dataclass(frozen=True)
class PoolEvaluation(Sequence[SubnetRow]):
    """The networks of a pool, measured: the rows of a table, and what the table does not show.

    Attributes:
        rows: Every structure at every resolution.
        statistics: The BatchNorm statistics that each was measured with; empty where they are not known.
        networks: A digest of the weights and structures that were measured; None where it is not needed.
    """

    rows: tuple[SubnetRow, ...]
    statistics: Mapping[Place, Statistics] = field(default_factory=dict)
    networks: str | None = None

    @overload
    def __getitem__(self, index: int) -> SubnetRow: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[SubnetRow]: ...

    def __getitem__(self, index: int | slice) -> SubnetRow | Sequence[SubnetRow]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        """Draws the table as `ofar evaluate` prints it."""
        return table_text(drawn_table(self.rows))

    def __repr__(self) -> str:
        """Shows the table at a prompt, where all statistics would fill pages."""
        return str(self) if self.rows else "<PoolEvaluation of nothing>"

    def _repr_html_(self) -> str:
        """Shows the table in a notebook."""
        titles, texts = table_cells(self.rows)
        return html_table(TITLE, columns=titles, rows=texts, caption=caption_of(self.rows))

    def of(self, rows: Sequence[SubnetRow]) -> "PoolEvaluation":
        """Returns the same for some of the rows."""
        return replace(self, rows=tuple(rows))

    def chosen(self, only: str) -> "PoolEvaluation":
        """Returns the same for what is to be exported.

        Args:
            only: `pareto` for the networks that no other beats, or `all`.

        Raises:
            ValueError: If it is neither.
        """
        check_only(only)
        return self.of([row for row in self.rows if row.pareto or only == "all"])


def check_only(only: str) -> None:
    """Refuses what `PoolEvaluation.chosen` does not take, before anything is measured.

    Raises:
        ValueError: If it is neither `pareto` nor `all`.
    """
    if only not in ("pareto", "all"):
        raise ValueError(f"Expected only='pareto' or 'all'. Received: only={only!r}.")


def write_evaluation(path: Path, evaluation: PoolEvaluation, *, table: Path, origin: str) -> None:
    """Writes the table, and beside it what the table cannot hold, each whole or not at all.

    Args:
        path: A NumPy archive.
        evaluation: What was found.
        table: `subnets.csv`.
        origin: A digest of all that the networks were made from.
    """
    write_subnets(table, evaluation.rows)
    seal = {"origin": origin, "table_sha256": atomic_file.sha256_of(table)}
    arrays = {
        f"{structure}/{resolution}/{index}": np.stack(moments)
        for (structure, resolution), statistics in evaluation.statistics.items()
        for index, moments in enumerate(statistics)
    }
    with atomic_file.replacing(path) as temporary:
        np.savez(temporary, allow_pickle=False, seal=np.array(json.dumps(seal)), **arrays)


def read_evaluation(path: Path, *, table: Path, metric: Metric, origin: str, again: str) -> PoolEvaluation:
    """Reads what `write_evaluation` wrote, and refuses a table of another training or one that was edited.

    Args:
        path: The archive. Where there is none that can be read, as in a run of version 0.1.0, only the table is known.
        table: `subnets.csv`.
        metric: That of the run's task.
        origin: A digest of all that the networks are made from now.
        again: What makes the table anew, for messages.

    Returns:
        The evaluation.

    Raises:
        FileNotFoundError: If there is no table.
        ValueError: If the table is none, or not the one of these networks, in one line.
    """
    rows = tuple(read_subnets(table, metric))
    found = _read(path)
    if found is None:
        return PoolEvaluation(rows)
    seal, statistics = found
    for is_same, received in (
        (seal["origin"] == origin, "that of another training"),
        (seal["table_sha256"] == atomic_file.sha256_of(table), "one that was changed since"),
    ):
        if not is_same:
            raise ValueError(f"Expected {table} as {again} writes it; repeat that. Received: {received}.")
    return PoolEvaluation(rows, statistics)


def _read(path: Path) -> tuple[dict[str, Any], dict[Place, Statistics]] | None:
    try:
        with path.open("rb") as file, np.load(file) as archive:
            arrays = dict(archive)
        seal = json.loads(str(arrays.pop("seal")))
        found: dict[Place, dict[int, tuple[np.ndarray, np.ndarray]]] = {}
        for name, (mean, variance) in arrays.items():
            structure, resolution, index = name.rsplit("/", 2)
            found.setdefault((structure, Size.parse(resolution)), {})[int(index)] = mean, variance
        statistics: dict[Place, Statistics] = {
            place: [moments[index] for index in sorted(moments)] for place, moments in found.items()
        }
        return {name: seal[name] for name in ("origin", "table_sha256")}, statistics
    except Exception:  # A flipped byte can make the zip and array readers raise almost anything.
        return None


def content_digest(batches: Any) -> str:
    """Identifies images by what they show, not by their number: all labels, and the first batch of images.

    Args:
        batches: Finite pairs of images and labels, from the start.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for index, (images, labels) in enumerate(batches):
        if index == 0:
            digest.update(np.ascontiguousarray(images).tobytes())
        for each in keras.tree.flatten(labels):
            array = np.ascontiguousarray(each)
            # Indices of classes count alike whatever their integer type.
            digest.update((array if array.dtype.kind == "f" else array.astype(np.int64)).tobytes())
    return digest.hexdigest()
