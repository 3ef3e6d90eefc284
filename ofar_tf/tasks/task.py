"""What training, search and evaluation ask of a task. They know neither logits nor labels.

A task is a plain value: it holds settings and no variables, so that the same one serves every network, process and
device. `ofar_tf.tasks.classification` is the first; a second one needs nothing but a class of this form.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ofar_tf.tasks.uncertainty import noise_of, wilson_interval

if TYPE_CHECKING:  # Programs that only read a manifest do not load TensorFlow.
    import tensorflow as tf

Nest = Any
"""A tensor, or tuples, lists and dictionaries of tensors; its form never changes, its first axis is the batch."""


@dataclass(frozen=True)
class Metric:
    """The number that a task's networks are compared by.

    Attributes:
        key: Its name in files, for instance `top1`.
        title: Its name for people, for instance `top-1 accuracy`.
        columns: All numbers that are reported, shares in [0, 1]: their names in files and for people. `key` is among
            them.
        progress: What the same number is called while training, on batches of training images.
        higher_is_better: Whether more is better.
        counts_images: Whether the number is the share of images that are right, so that its interval is known.

    Raises:
        ValueError: If `key` is not among the columns.
    """

    key: str
    title: str
    columns: Mapping[str, str]
    progress: str
    higher_is_better: bool = True
    counts_images: bool = False

    def __post_init__(self) -> None:
        if self.key not in self.columns:
            raise ValueError(f"Expected {self.key!r} among the columns. Received: columns={list(self.columns)}.")


@dataclass(frozen=True)
class Scores:
    """What a network reached on a set of images.

    Attributes:
        metric: Which of the numbers decides, and what they are called.
        values: The numbers, by the metric's columns.
        images: How many images were measured, at least 1.

    Raises:
        ValueError: If the numbers are not those of the metric, or one is not finite, or there are no images.
    """

    metric: Metric
    values: Mapping[str, float]
    images: int

    def __post_init__(self) -> None:
        if list(self.values) != list(self.metric.columns) or not np.isfinite(list(self.values.values())).all():
            raise ValueError(f"Expected finite {', '.join(self.metric.columns)}. Received: {dict(self.values)}.")
        if self.images < 1:
            raise ValueError(f"Expected at least one image. Received: images={self.images}.")

    @property
    def best(self) -> float:
        """The number that networks are compared by: `metric.key`'s."""
        return self.values[self.metric.key]

    @property
    def merit(self) -> float:
        """The same so that more is better, whatever the metric."""
        return self.best if self.metric.higher_is_better else -self.best

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval of the number that decides; None where the metric does not count images."""
        return wilson_interval(self.best, self.images) if self.metric.counts_images else None

    @property
    def noise(self) -> float:
        """How far below it another may lie before the difference counts (`noise_of`); 0 where that is not known."""
        return noise_of(self.best, self.images) if self.metric.counts_images else 0.0


class Evaluator(Protocol):
    """Judges the outputs of one network at one size, batch by batch."""

    def update(self, outputs: Nest, labels: Nest) -> None:
        """Adds a batch.

        Args:
            outputs: What the network returned, as NumPy arrays.
            labels: What the data set gave beside the images.
        """

    def share(self, total: Callable[[np.ndarray], np.ndarray]) -> None:
        """Adds up what several processes have counted; all of them call this.

        Args:
            total: Sums an array over the processes.
        """

    def result(self) -> Scores:
        """Returns the scores.

        Raises:
            ValueError: If there were no images.
        """


class Task(Protocol):
    """What a step needs to train a network, evaluation to judge it, and conversion to ship it."""

    @property
    def metric(self) -> Metric:
        """What networks are compared by."""

    def checked(self, batches: "tf.data.Dataset", size: Any) -> "tf.data.Dataset":
        """Looks at the first batch that a user gives, before it is trained or measured on.

        Args:
            batches: Batches of images and labels, and maybe weights.
            size: The largest size, that of the images.

        Returns:
            The same batches in the one form that the rest of the program knows.

        Raises:
            ValueError: If they are of another form, or their values make no sense, in one line.
        """

    def targets(self, labels: Nest, sample_weight: Any = None) -> Nest:
        """Turns what the data gives into what `loss` takes.

        Args:
            labels: What the data set gives beside the images, one entry per image.
            sample_weight: float `[B]`, how much each image counts; `None` where all count alike.

        Returns:
            The targets.

        Raises:
            ValueError: If the labels are of another form.
        """

    def targets_at(self, targets: Nest, size: Any) -> Nest:
        """Converts targets to those of images that were resized, by the one operator that all tasks share.

        Args:
            targets: What `targets` returned, for images at the largest size.
            size: Height and width, a `Size` or int32 `[2]`.

        Returns:
            The targets of the resized images, in the same form.
        """

    def loss(self, outputs: Nest, targets: Nest, lesson: Nest, *, from_labels: "tf.Tensor") -> "tf.Tensor":
        """Computes what a network has to lower.

        Args:
            outputs: What it returned in training mode.
            targets: The targets at its size.
            lesson: What `lesson` returned for its teacher, which may have run at another size; meaningless where the
                network learns from the labels.
            from_labels: Scalar bool, whether the network learns from the labels, as the largest always does.

        Returns:
            Scalar float32, the mean over the batch. No gradient may flow into the lesson.
        """

    def lesson(self, outputs: Nest, size: Any) -> Nest:
        """Extracts what other networks may learn from a network.

        Args:
            outputs: What it returned in training mode.
            size: The size that it ran at.

        Returns:
            Float tensors without gradients, the batch first. Only their number, rank and last axis are fixed.
        """

    def progress(self, lesson: Nest, targets: Nest) -> "tf.Tensor":
        """Computes how well the largest network does on a training batch, for the progress bar.

        Args:
            lesson: Its lesson.
            targets: What `targets` returned.

        Returns:
            Scalar float32 in the unit of `metric`.
        """

    def evaluator(self, size: Any) -> Evaluator:
        """Returns a new judge of one network at one size.

        Args:
            size: The `Size` that the network sees.
        """

    def shipped(self, outputs: Nest) -> Nest:
        """Adds what a network is shipped with behind its last layer, as stock Keras layers.

        Args:
            outputs: What the network returns, as Keras tensors.

        Returns:
            What the files return, for instance probabilities instead of logits.
        """

    def finished(self, outputs: Nest) -> Nest:
        """Computes the same as `shipped`, in NumPy: what files are held against.

        Args:
            outputs: What a network returned, as NumPy arrays.

        Returns:
            What its file should return.
        """
