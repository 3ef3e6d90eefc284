"""What a classifier says of each image of a split: accuracy, agreement and confusion are counted from it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ofar_tf.tasks.answers import Batches, Run
from ofar_tf.tasks.classification.accuracy import accuracy, classes_of, label_ranks
from ofar_tf.tasks.examples import evenly_spread
from ofar_tf.tasks.scores import Scores

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
    def of(cls, scores: Run, batches: Batches) -> "Predictions":
        """Asks a classifier.

        Args:
            scores: Images [B, r, r, 3] to scores [B, K].
            batches: Images and labels, as `classes_of` takes them.

        Returns:
            Its answers.

        Raises:
            ValueError: If there are no images.
        """
        parts = [_answers(scores(np.asarray(images)), classes_of(labels)) for images, labels in batches]
        if not parts:
            raise ValueError("Expected at least one image to measure accuracy on. Received: none.")
        return cls(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    @property
    def right(self) -> np.ndarray:
        """Bool `[N]`: where the label has the highest score."""
        return self.ranks == 0

    @property
    def scores(self) -> Scores:
        """The accuracy; an image whose scores are not all finite counts as wrong."""
        return accuracy(
            top1=float(np.mean(self.ranks < 1)), top5=float(np.mean(self.ranks < _BEYOND)), images=len(self.ranks)
        )

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Returns what there is to keep: about two bytes an image."""
        return {"labels": self.labels, "classes": self.classes, "ranks": self.ranks}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Predictions":
        """Reads what `arrays` returns.

        Raises:
            ValueError: If they are no answers.
            KeyError: If one is missing.
        """
        return cls(arrays["labels"], arrays["classes"], arrays["ranks"])

    def agreement(self, other: "Predictions") -> float:
        """Computes the share of the images of which two classifiers say the same.

        Args:
            other: The answers of another, to the same images.

        Returns:
            A share in 0..1; an image without a class agrees with nothing.
        """
        return float(np.mean((self.classes == other.classes) & (self.classes != NO_CLASS)))

    def losses_and_gains(self, parent: "Predictions") -> tuple[int, int]:
        """Counts the images on which only the parent is right, and only this classifier.

        Args:
            parent: The answers of another, to the same images.

        Raises:
            ValueError: If the images are not the same.
        """
        if not np.array_equal(self.labels, parent.labels):
            raise ValueError(
                "Expected the answers of file and parent to the same images. "
                f"Received: {len(self.labels)} and {len(parent.labels)} with other labels."
            )
        return int(np.sum(parent.right & ~self.right)), int(np.sum(self.right & ~parent.right))

    def wrong_and_right(self, count: int) -> np.ndarray:
        """Picks images to look at: half of them wrong ones if there are as many, all spread evenly over the split.

        Args:
            count: How many, at least 1.

        Returns:
            int `[min(N, count)]`, places in the split, the wrong ones first.
        """
        wrong, right = np.flatnonzero(~self.right), np.flatnonzero(self.right)
        few = min(len(wrong), max(count // 2, count - len(right)))
        return np.concatenate([evenly_spread(wrong, few), evenly_spread(right, count - few)])

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
