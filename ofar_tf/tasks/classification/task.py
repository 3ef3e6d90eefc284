"""Image classification as a task: cross-entropy for the teacher, divergence for its students, top-1 for all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.data.batch_contract import BatchContract, watched_labels
from ofar_tf.devices.accelerators import on_host
from ofar_tf.tasks.answers import Batches, Run
from ofar_tf.tasks.classification.accuracy import METRIC, NAME, AccuracyEvaluator
from ofar_tf.tasks.classification.divergence import DIVERGENCES, forward_kl
from ofar_tf.tasks.classification.examples import draw_examples
from ofar_tf.tasks.classification.predictions import Predictions
from ofar_tf.tasks.examples import Example
from ofar_tf.tasks.interface import Difference, Shipped
from ofar_tf.tasks.scores import Metric
from ofar_tf.text.size import Size

OUTPUT_NAME = "probabilities"
_OUTPUTS_NOTE = """\
- Output: one probability for each class, `[1, K]`. Where the output is `uint8`, the probability is
  `scale * (value - zero_point)` with the numbers in `manifest.json`. Line i of `labels.txt` names class i, counted
  from 0."""
_METADATA_NOTE = """\
Each file carries metadata: the scale of its input, the class names, and what `ofar export` was told of author and
licence. MediaPipe's ImageClassifier therefore takes each one as it is, with `float32` and with `uint8` input alike."""


class Targets(NamedTuple):
    """What a classifier should say of a batch.

    Attributes:
        probabilities: float32 `[B, K]`.
        weight: float32 `[B]`, how much each image counts; 1 where all count alike.
    """

    probabilities: tf.Tensor
    weight: tf.Tensor


@dataclass(frozen=True)
class Classification(Shipped):
    """The task of telling K classes apart.

    Networks return logits `[B, K]`. The largest learns the labels (Equation 4, DESIGN D2), the others what their
    teacher says (Equations 5 to 7, DESIGN D3).

    Attributes:
        classes: K, at least 1.
        divergence: `forward` or `reverse` KL between teacher and student (DESIGN D3).
        label_smoothing: Share of each label that is spread over all classes, in [0, 1).
        student_labels: A in [0, 1]: students learn (1 - A) of what their teacher says and A of the labels (DESIGN D26);
            0 is the paper's, half is better in the evidence.
        class_weights: How much an image of each class counts, K numbers of at least 0; none to count all alike. An
            image whose label is a mixture counts by the mixture's mean.

    Raises:
        ValueError: If one is out of range.
    """

    classes: int
    divergence: str = "forward"
    label_smoothing: float = 0.0
    student_labels: float = 0.5
    class_weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.classes < 1:
            raise ValueError(f"Expected at least one class. Received: classes={self.classes}.")
        if self.divergence not in DIVERGENCES:
            raise ValueError(f"Expected a divergence of {', '.join(DIVERGENCES)}. Received: {self.divergence!r}.")
        if not 0.0 <= self.label_smoothing < 1.0:
            raise ValueError(f"Expected label_smoothing in [0, 1). Received: label_smoothing={self.label_smoothing}.")
        if not 0.0 <= self.student_labels <= 1.0:
            raise ValueError(f"Expected student_labels in [0, 1]. Received: student_labels={self.student_labels}.")
        if self.class_weights is not None:
            _check_class_weights(self.class_weights, classes=self.classes)

    @property
    def name(self) -> str:
        """`classification`, which manifests need not name."""
        return NAME

    @property
    def metric(self) -> Metric:
        """Top-1 accuracy."""
        return METRIC

    def checked(self, batches: tf.data.Dataset, size: Size) -> tf.data.Dataset:
        """Returns the batches as images float32, labels int `[B]` or probabilities `[B, K]`, see `BatchContract`."""
        if not size.is_square:
            return batches
        return BatchContract(classes=self.classes, resolution=size.height).applied(batches)

    def targets(self, labels: Any, sample_weight: Any = None) -> Targets:
        """Turns labels into probabilities and weights. Those that are none end the step, see `watched_labels`.

        Args:
            labels: int `[B]` or `[B, 1]`, or probabilities `[B, K]`.
            sample_weight: float `[B]`, or none.

        Raises:
            ValueError: If the labels have another shape.
        """
        labels = self._probabilities(tf.convert_to_tensor(labels))
        weight = tf.ones(tf.shape(labels)[:1])
        if self.class_weights is not None:
            weight = tf.linalg.matvec(labels, tf.constant(self.class_weights, tf.float32))
        if sample_weight is not None:
            weight *= tf.cast(tf.reshape(sample_weight, [-1]), tf.float32)
        smooth = (1.0 - self.label_smoothing) * labels + self.label_smoothing / self.classes
        return Targets(smooth, weight)

    def _probabilities(self, labels: tf.Tensor) -> tf.Tensor:
        if labels.shape.rank not in (1, 2) or labels.shape[1:] not in ([], [1], [self.classes]):
            raise ValueError(f"Expected labels of shape [B], [B, 1] or [B, {self.classes}]. Received: {labels.shape}.")
        with on_host():  # They come from there, and an accelerator would have to be asked whether they are right.
            labels = watched_labels(labels, classes=self.classes)
        return tf.one_hot(labels, self.classes) if labels.shape.rank == 1 else labels

    def targets_at(self, targets: Targets, size: Any) -> Targets:
        """Returns the targets as they are: what an image shows does not depend on its size."""
        return targets

    def taught(self, targets: Targets, lesson: tf.Tensor, *, share: float) -> Targets:
        """Mixes what a fixed teacher says into the targets.

        Args:
            targets: The targets of the labels.
            lesson: What `lesson` returned for the teacher.
            share: How much of the new targets is the teacher's, in [0, 1].
        """
        return Targets((1.0 - share) * targets.probabilities + share * lesson, targets.weight)

    def loss(self, outputs: tf.Tensor, targets: Targets, lesson: tf.Tensor, *, from_labels: tf.Tensor) -> tf.Tensor:
        """Computes the weighted mean over the batch: cross-entropy of the labels, or divergence from the lesson."""
        return tf.reduce_mean(targets.weight * self._losses(outputs, targets, lesson, from_labels))

    def _losses(self, logits: tf.Tensor, targets: Targets, lesson: tf.Tensor, from_labels: tf.Tensor) -> tf.Tensor:
        if self.divergence == "forward" and not self.student_labels:
            # One divergence serves both, since that from one-hot labels is their cross-entropy.
            return forward_kl(tf.where(from_labels, targets.probabilities, lesson), logits)
        of_labels = forward_kl(targets.probabilities, logits)
        of_lesson = DIVERGENCES[self.divergence](lesson, logits)
        mixed = (1.0 - self.student_labels) * of_lesson + self.student_labels * of_labels
        return tf.where(from_labels, of_labels, mixed)

    def lesson(self, outputs: tf.Tensor, size: Any) -> tf.Tensor:
        """Returns the probabilities, float32 `[B, K]`."""
        return tf.stop_gradient(tf.nn.softmax(tf.cast(outputs, tf.float32)))

    def progress(self, lesson: tf.Tensor, targets: Targets) -> tf.Tensor:
        """Returns the share of images whose first guess is the label's."""
        guess, label = (tf.argmax(scores, axis=-1) for scores in (lesson, targets.probabilities))
        return tf.reduce_mean(tf.cast(guess == label, tf.float32))

    def evaluator(self, size: Size) -> AccuracyEvaluator:
        """Returns a counter of right guesses."""
        return AccuracyEvaluator()

    def shipped(self, outputs: Any) -> Any:
        """Adds a softmax: files return probabilities."""
        return keras.layers.Softmax(name="probabilities", dtype="float32")(outputs)

    def finished(self, outputs: np.ndarray) -> np.ndarray:
        """Computes the probabilities, float64 `[B, K]`."""
        logits = outputs.astype(np.float64)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    @property
    def kind(self) -> str:
        """`image classifiers`."""
        return "image classifiers"

    @property
    def outputs_note(self) -> str:
        """The probabilities."""
        return _OUTPUTS_NOTE

    @property
    def metadata_note(self) -> str:
        """Names MediaPipe's ImageClassifier, which `make acceptance` runs."""
        return _METADATA_NOTE

    @property
    def has_classes(self) -> bool:
        """They do."""
        return True

    @property
    def ends_in_softmax(self) -> bool:
        """They do."""
        return True

    @property
    def output_name(self) -> str:
        """`probabilities`."""
        return OUTPUT_NAME

    @property
    def output_ranges(self) -> Mapping[str, tuple[float, float]]:
        """Probabilities are in 0..1."""
        return {OUTPUT_NAME: (0.0, 1.0)}

    def check_shipped(self, output_shape: Any, labels: Sequence[str]) -> None:
        """Makes sure that there is one class for each name.

        Raises:
            ValueError: If the output is of another shape than `[B, K]` with a name for each of K classes.
        """
        if output_shape != (None, len(labels)):
            raise ValueError(f"Expected an output of shape {(None, len(labels))}. Received: {output_shape}.")

    def describe(self, labels: Sequence[str]) -> str:
        """Says how many classes there are."""
        return f"Image classifier, {len(labels)} classes"

    def compare(self, expected: np.ndarray, actual: np.ndarray, *, size: Size) -> Difference:
        """Compares probabilities `[B, K]`, and the classes that they name."""
        agreement = float(np.mean(actual.argmax(-1) == expected.argmax(-1)))
        return replace(super().compare(expected, actual, size=size), agreement=agreement)

    def answers(self, run: Run, batches: Batches) -> Predictions:
        """Asks a classifier about each image of a split."""
        return Predictions.of(run, batches)

    def examples(
        self, answers: Predictions, run: Run, batches: Batches, *, labels: Sequence[str], count: int
    ) -> tuple[Example, ...]:
        """Shows images that are called wrong, with their true class, and images that are called right."""
        return draw_examples(answers, run, batches, labels=labels, count=count)

    def answers_of(self, arrays: Mapping[str, np.ndarray]) -> Predictions:
        """Reads answers from what was kept of them."""
        return Predictions.of_arrays(arrays)


def _check_class_weights(weights: Sequence[float], *, classes: int) -> None:
    if len(weights) != classes or not all(0.0 <= weight < float("inf") for weight in weights) or not any(weights):
        raise ValueError(
            f"Expected {classes} class weights of at least 0, not all 0. Received: {list(weights)!r:.200}."
        )
