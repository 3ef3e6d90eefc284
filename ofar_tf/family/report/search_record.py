"""What the structure search found and how it came there, for the report."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ofar_tf.search.mask_similarity import cosine_similarity
from ofar_tf.search.pruned_network_pool import PrunedNetworkPool


@dataclass(frozen=True)
class SimilarityMap:
    """How alike the masks of a structure were at any two epochs of the search (the paper's Figure 4).

    Attributes:
        structure: Name of the structure.
        cosines: `[epochs][epochs]`, symmetric: cosine similarities in [0, 1]; None where they are not known.
    """

    structure: str
    cosines: tuple[tuple[float | None, ...], ...]

    def __post_init__(self) -> None:
        epochs = len(self.cosines)
        if not epochs or any(len(row) != epochs for row in self.cosines):
            raise ValueError(
                "Expected as many similarities of each epoch as there are epochs. "
                f"Received: {[len(row) for row in self.cosines]} of {self.structure}."
            )


@dataclass(frozen=True)
class SearchRecord:
    """The outcome of a search.

    Attributes:
        pool: The structures.
        similarity: One map for each structure whose search was recorded; may be empty.
    """

    pool: PrunedNetworkPool
    similarity: tuple[SimilarityMap, ...] = ()


def recorded_masks(checkpoints: Path) -> np.ndarray | None:
    """Reads the masks of all search epochs from the newest checkpoint of a run that can be read.

    Args:
        checkpoints: The folder of the run's checkpoints; the user may have removed them.

    Returns:
        bool `[epochs, structures, channels]`, or None where there are none.
    """
    for path in sorted(checkpoints.glob("epoch_*.npz"), reverse=True):
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                masks = np.asarray(archive["search/masks"])
        except Exception:  # A damaged archive can make the zip and array readers raise almost anything.
            continue
        if masks.dtype == bool and masks.ndim == 3:
            return masks
    return None


def read_similarity(path: Path, masks: np.ndarray | None = None) -> tuple[SimilarityMap, ...]:
    """Reads `similarity.csv`, and completes it with the masks themselves where they are known.

    The table compares each epoch with the one before, so alone it gives the two diagonals beside the main one.

    Args:
        path: The table that `MaskSearch` writes.
        masks: bool `[epochs, structures, channels]`, the masks of the same search; of another number of epochs or
            structures they are not used.

    Returns:
        One map for each structure, in the order of the table; empty where there is no table, as after a search that
        had nothing to learn.

    Raises:
        ValueError: If the file is no such table.
    """
    if not path.exists():
        return ()
    steps: dict[str, list[float | None]] = {}
    try:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                steps.setdefault(row["structure"], []).append(float(row["similarity"]) if row["similarity"] else None)
        if masks is not None and masks.shape[:2] == (len(next(iter(steps.values()))), len(steps)):
            return tuple(SimilarityMap(name, _all_pairs(masks[:, index])) for index, name in enumerate(steps))
        return tuple(SimilarityMap(name, _neighbours(values)) for name, values in steps.items())
    except (KeyError, TypeError, ValueError, StopIteration, csv.Error) as error:
        raise ValueError(f"Expected the table of a structure search in {path}. Received: {error!r}.") from error


def _all_pairs(masks: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(cosine_similarity(first, second) for second in masks) for first in masks)


def _neighbours(steps: Sequence[float | None]) -> tuple[tuple[float | None, ...], ...]:
    """Places the similarity of epoch e and the one before at (e, e - 1) and (e - 1, e)."""
    epochs = range(len(steps))
    known = {(e, e): 1.0 for e in epochs} | {pair: steps[e] for e in epochs[1:] for pair in ((e, e - 1), (e - 1, e))}
    return tuple(tuple(known.get((row, column)) for column in epochs) for row in epochs)
