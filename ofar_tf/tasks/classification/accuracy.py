"""Top-1 and top-5 accuracy of files and of Keras models, counted the same way."""

from collections.abc import Callable

import numpy as np

from ofar_tf.tasks.scores import Metric, Scores

NAME = "classification"
"""The task's name in files."""

METRIC = Metric(
    key="top1",
    title="top-1 accuracy",
    columns={"top1": "top-1", "top5": "top-5"},
    progress="accuracy",
    counts_images=True,
)


class AccuracyEvaluator:
    """Counts how often a label is the first guess, and among the first five."""

    def __init__(self) -> None:
        # Images, right first guesses, right guesses among the first five.
        self._counts = np.zeros(3)

    def update(self, outputs: np.ndarray, labels: np.ndarray) -> None:
        """Adds a batch of scores `[B, K]` with its labels, as `classes_of` takes them."""
        ranks = label_ranks(outputs, classes_of(labels))
        self._counts += np.array([len(ranks), np.sum(ranks < 1), np.sum(ranks < 5)])

    def share(self, total: Callable[[np.ndarray], np.ndarray]) -> None:
        """Adds up what several processes have counted."""
        self._counts = total(self._counts)

    def result(self) -> Scores:
        """Returns the shares of right guesses.

        Raises:
            ValueError: If there were no images.
        """
        images, top1, top5 = self._counts
        if not images:
            raise ValueError("Expected at least one image to measure accuracy on. Received: none.")
        return accuracy(float(top1 / images), float(top5 / images), int(images))


def accuracy(top1: float, top5: float, images: int) -> Scores:
    """Makes the scores of a classifier.

    Args:
        top1: Share of the images whose label has the highest score.
        top5: Share of the images whose label is among the five highest scores; 1 by definition with at most five
            classes.
        images: How many images were counted.

    Raises:
        ValueError: If no counts can be behind them.
    """
    if not 0 <= top1 <= top5 <= 1 or images < 1:
        raise ValueError(
            f"Expected 0 <= top1 <= top5 <= 1 on at least one image. Received: top1={top1}, top5={top5}, {images=}."
        )
    return Scores(METRIC, {"top1": float(top1), "top5": float(top5)}, images)


def classes_of(labels: np.ndarray) -> np.ndarray:
    """Returns the class of each image.

    Args:
        labels: Class indices `[B]`, or one-hot and other probabilities `[B, K]`: the likeliest counts, as in Keras.

    Returns:
        Whole numbers `[B]`.
    """
    labels = np.asarray(labels)
    return labels.argmax(axis=1) if labels.ndim == 2 else labels


def label_ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts the classes that come before each label when classes are sorted by score.

    Equal scores, which are frequent in 8-bit files, are sorted by class index, as argmax and Android's classifiers do.

    Args:
        scores: [B, K].
        labels: [B], class indices below K.

    Returns:
        [B] ints from 0 (the label has the highest score) to K - 1; at least 5 and K where a score of the row is not
        finite.
    """
    own = np.take_along_axis(scores, labels[:, np.newaxis], axis=1)
    before = np.arange(scores.shape[1]) < labels[:, np.newaxis]
    ranks = np.sum((scores > own) | ((scores == own) & before), axis=1)
    return np.where(np.isfinite(scores).all(axis=1), ranks, max(scores.shape[1], 5))
