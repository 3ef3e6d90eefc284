"""Top-1 and top-5 accuracy of files and of Keras models, counted the same way."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ofar_tf.tasks.task import Metric, Scores
from ofar_tf.tasks.uncertainty import noise_of, wilson_interval

if TYPE_CHECKING:
    import keras

Batches = Iterable[tuple[np.ndarray, np.ndarray]]
"""Pairs of images [B, r, r, 3], values in 0..255, and labels [B], class indices."""


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
        """Adds a batch of scores `[B, K]` with its labels, int `[B]`."""
        ranks = label_ranks(outputs, np.asarray(labels))
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
        return Scores(METRIC, {"top1": float(top1 / images), "top5": float(top5 / images)}, int(images))


@dataclass(frozen=True)
class Accuracy:
    """The accuracy of a classifier.

    Attributes:
        top1: Share of the images whose label has the highest score.
        top5: Share of the images whose label is among the five highest scores; 1 by definition with at most five
            classes.
        images: How many images were counted.
    """

    top1: float
    top5: float
    images: int

    def __post_init__(self) -> None:
        if not 0 <= self.top1 <= self.top5 <= 1 or self.images < 1:
            raise ValueError(f"Expected 0 <= top1 <= top5 <= 1 on at least one image. Received: {self}.")

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the top-1 accuracy."""
        return wilson_interval(self.top1, self.images)

    @property
    def noise(self) -> float:
        """How far below it another accuracy may lie before the difference counts (`noise_of`)."""
        return noise_of(self.top1, self.images)


@dataclass(frozen=True)
class Metrics(Accuracy):
    """The accuracy of a file and of its Keras parent, on the same images.

    Attributes:
        keras_top1: Top-1 accuracy of the `.keras` file.
    """

    keras_top1: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.keras_top1 <= 1:
            raise ValueError(f"Expected an accuracy in 0..1. Received: keras_top1={self.keras_top1}.")


def keras_scores(model: "keras.Model") -> Callable[[np.ndarray], np.ndarray]:
    """Makes a function that runs a Keras classifier in inference mode.

    Args:
        model: Images [batch, r, r, 3], values in 0..255, to scores [batch, K].

    Returns:
        Images [B, r, r, 3] to scores [B, K]; traced once for batches of any size.
    """
    import tensorflow as tf

    # Not `predict_on_batch`, which traces anew for a last batch of another size.
    forward = tf.function(model, input_signature=[tf.TensorSpec(model.input_shape)], autograph=False)
    return lambda images: np.asarray(forward(tf.cast(images, tf.float32)))


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
