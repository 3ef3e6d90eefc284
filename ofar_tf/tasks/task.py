"""What training, search and evaluation ask of a task. They know neither logits nor labels.

A task is a plain value: it holds settings and no variables, so that the same one serves every network, process and
device. `ofar_tf.tasks.classification` and `ofar_tf.tasks.detection` are two; a third needs nothing but a class of this
form.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ofar_tf.tasks.interface import Shipped
from ofar_tf.tasks.scores import Metric, Scores

if TYPE_CHECKING:  # Programs that only read a manifest do not load TensorFlow.
    import tensorflow as tf

__all__ = ["Evaluator", "Metric", "Nest", "Scores", "Task"]

Nest = Any
"""A tensor, or tuples, lists and dictionaries of tensors; its form never changes, its first axis is the batch."""


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


class Task(Shipped, Protocol):
    """What a step needs to train a network, evaluation to judge it, and conversion to ship it (`Shipped`)."""

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
            The targets of the resized images, in whatever form `loss` and `progress` take.
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
            targets: What `targets_at` returned for its size.

        Returns:
            Scalar float32 in the unit of `metric`.
        """

    def evaluator(self, size: Any) -> Evaluator:
        """Returns a new judge of one network at one size.

        Args:
            size: The `Size` that the network sees.
        """
