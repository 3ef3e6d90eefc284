"""How well a file knows each class, and what it takes the others for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ofar_tf.tasks.classification.predictions import Predictions
from ofar_tf.tasks.uncertainty import wilson_interval

MOST_CLASSES = 20
"""Of a confusion matrix that is still read by eye; of more classes the worst are listed."""


@dataclass(frozen=True)
class ClassResult:
    """One class as one file sees it.

    Attributes:
        label: Its name.
        images: How many images of it there are.
        top1: Share of them that are called by it.
        interval: The 95 % interval of that share.
        mistaken_for: The name that its images get most often by mistake; empty where there is no mistake.
        mistakes: How many get that name.
    """

    label: str
    images: int
    top1: float
    interval: tuple[float, float]
    mistaken_for: str
    mistakes: int


@dataclass(frozen=True)
class ClassResults:
    """All classes as one file sees them.

    Attributes:
        classes: The classes that have images, the worst first; of more than `MOST_CLASSES` only the worst.
        count: How many classes have images.
        labels: The names of the rows and columns of the matrix; empty where there are too many.
        matrix: `[K][K]`, row i and column j: the images of class i that are called j.
    """

    classes: tuple[ClassResult, ...]
    count: int
    labels: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]


def class_results(predictions: Predictions, labels: Sequence[str]) -> ClassResults:
    """Counts the answers of a file by class.

    Args:
        predictions: Its answers.
        labels: The K class names.

    Returns:
        What it knows of each class.

    Raises:
        ValueError: If an answer is of no class that has a name.
    """
    if not predictions.fits(len(labels)):
        raise ValueError(f"Expected a name for each class. Received: {len(labels)} names and answers beyond them.")
    counts = predictions.confusion(len(labels))
    images = np.bincount(predictions.labels, minlength=len(labels))
    present = [_class_result(int(index), counts[index], int(images[index]), labels) for index in np.flatnonzero(images)]
    worst = sorted(present, key=lambda each: (each.top1, -each.images))
    small = len(labels) <= MOST_CLASSES
    return ClassResults(
        classes=tuple(worst if small else worst[:MOST_CLASSES]),
        count=len(present),
        labels=tuple(labels) if small else (),
        matrix=tuple(tuple(map(int, row)) for row in counts) if small else (),
    )


def _class_result(index: int, row: np.ndarray, images: int, labels: Sequence[str]) -> ClassResult:
    others = row.copy()
    others[index] = 0
    worst = int(others.argmax())
    share = float(row[index] / images)
    name = labels[worst] if others[worst] else ""
    return ClassResult(labels[index], images, share, wilson_interval(share, images), name, int(others[worst]))
