"""What a classifier says of each image of a split: accuracy, agreement and confusion are counted from it."""

import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ofar_tf.files import atomic_file
from ofar_tf.tasks.classification.accuracy import Accuracy, Batches, label_ranks

_BEYOND = 5
NO_CLASS = -1
"""In the place of a class where the scores of an image are not finite."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """The answers of one classifier, image by image, in the order of the split.

    Attributes:
        labels: int `[N]`, N >= 1: the true classes.
        classes: int `[N]`: the classes with the highest score; `NO_CLASS` where a score is not finite.
        ranks: int `[N]`, 0..5: how many classes come before the label, 5 for five or more (`label_ranks`).
    """

    labels: np.ndarray
    classes: np.ndarray
    ranks: np.ndarray

    def __post_init__(self) -> None:
        arrays = (self.labels, self.classes, self.ranks)
        if any(a.ndim != 1 or a.dtype.kind not in "iu" or len(a) != len(self.labels) for a in arrays):
            raise ValueError(
                f"Expected a label, a class and a rank of each image. Received: {[(a.shape, a.dtype) for a in arrays]}."
            )
        if not len(self.labels):
            raise ValueError("Expected at least one image to measure accuracy on. Received: none.")
        if self.labels.min() < 0 or self.classes.min() < NO_CLASS or not 0 <= self.ranks.min() <= self.ranks.max() <= 5:
            raise ValueError("Expected classes from 0 and ranks of 0..5. Received: others.")

    @classmethod
    def of(cls, scores: Callable[[np.ndarray], np.ndarray], batches: Batches) -> "Predictions":
        """Asks a classifier.

        Args:
            scores: Images [B, r, r, 3] to scores [B, K].
            batches: Images and labels.

        Returns:
            Its answers.

        Raises:
            ValueError: If there are no images.
        """
        parts = [_answers(scores(np.asarray(images)), np.asarray(labels)) for images, labels in batches]
        if not parts:
            raise ValueError("Expected at least one image to measure accuracy on. Received: none.")
        return cls(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    @property
    def right(self) -> np.ndarray:
        """Bool `[N]`: where the label has the highest score."""
        return self.ranks == 0

    @property
    def accuracy(self) -> Accuracy:
        """The accuracy; an image whose scores are not all finite counts as wrong."""
        return Accuracy(
            top1=float(np.mean(self.ranks < 1)), top5=float(np.mean(self.ranks < _BEYOND)), images=len(self.ranks)
        )

    def agreement(self, other: "Predictions") -> float:
        """Computes the share of the images of which two classifiers say the same.

        Args:
            other: The answers of another, to the same images.

        Returns:
            A share in 0..1; an image without a class agrees with nothing.
        """
        return float(np.mean((self.classes == other.classes) & (self.classes != NO_CLASS)))

    def fits(self, classes: int) -> bool:
        """Tells whether every label and every answer is one of so many classes."""
        return int(max(self.labels.max(), self.classes.max())) < classes

    def confusion(self, classes: int) -> np.ndarray:
        """Counts what each class is taken for.

        Args:
            classes: K, how many there are.

        Returns:
            int `[K, K]`: row i, column j counts the images of class i that were called j. Images without a class are in
            no column.
        """
        counts = np.zeros((classes, classes), np.int64)
        known = self.classes != NO_CLASS
        np.add.at(counts, (self.labels[known], self.classes[known]), 1)
        return counts


def _answers(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    finite = np.isfinite(scores).all(axis=1)
    classes = np.where(finite, np.where(np.isfinite(scores), scores, -np.inf).argmax(axis=1), NO_CLASS)
    ranks = np.minimum(label_ranks(scores, labels), _BEYOND)
    return labels.astype(np.int32), classes.astype(np.int32), ranks.astype(np.uint8)


def predictions_path(file: Path) -> Path:
    """Names where the predictions of a file lie: beside it, `<name>.predictions.npz`."""
    return file.with_suffix(".predictions.npz")


def write_predictions(path: Path, predictions: Predictions, *, key: Mapping[str, Any]) -> None:
    """Writes predictions, whole or not at all: about two bytes an image.

    Args:
        path: Where to.
        predictions: The answers.
        key: What they depend on, as JSON values.
    """
    arrays = {name: getattr(predictions, name) for name in ("labels", "classes", "ranks")}
    with atomic_file.replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays, key=np.array(json.dumps(dict(key), sort_keys=True)))


def read_predictions(path: Path, *, key: Mapping[str, Any] | None = None) -> Predictions | None:
    """Reads predictions.

    Args:
        path: The file.
        key: What they must depend on; None for anything.

    Returns:
        The answers; None where there are none, they cannot be read, or they depend on something else.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            stored = str(archive["key"])
            found = Predictions(archive["labels"], archive["classes"], archive["ranks"])
    except (OSError, KeyError, TypeError, ValueError, AttributeError, EOFError, zipfile.BadZipFile):
        return None
    return found if key is None or stored == json.dumps(dict(key), sort_keys=True) else None


def recall_predictions(path: Path, *, key: Mapping[str, Any], compute: Callable[[], Predictions]) -> Predictions:
    """Returns the stored predictions of a key, or computes and stores them.

    Args:
        path: Where they are or will be.
        key: What they depend on, as JSON values.
        compute: Makes them.

    Returns:
        The answers.
    """
    found = read_predictions(path, key=key)
    if found is None:
        found = compute()
        write_predictions(path, found, key=key)
    return found
