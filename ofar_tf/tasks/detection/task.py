"""Object detection as a task: boxes from the ground truth, classes from it or from a teacher, AP for all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from ofar_tf.tasks.detection.alignment import aligned
from ofar_tf.tasks.detection.anchors import Anchors, as_pixels
from ofar_tf.tasks.detection.average_precision import METRIC, AveragePrecision
from ofar_tf.tasks.detection.decoding import Decoding
from ofar_tf.tasks.detection.losses import BOX_LOSSES, focal_loss
from ofar_tf.tasks.detection.matching import IGNORED, assign
from ofar_tf.tasks.detection.shipping import DetectionFiles
from ofar_tf.tasks.task import Metric
from ofar_tf.text.size import Size

# How much of what a teacher says, the rest being the ground truth.
_SHARES = {"distill": 1.0, "ground_truth": 0.0, "both": 0.5}
CLASS_TARGETS = tuple(_SHARES)
_LABELS = ("boxes", "classes", "crowd")


class Lesson(NamedTuple):
    """What others may learn from a detector.

    Attributes:
        probabilities: float32 `[B, A, C]`.
        size: float32 `[B, 2]`, the height and width that it saw, the same for all images.
    """

    probabilities: tf.Tensor
    size: tf.Tensor


class Targets(NamedTuple):
    """What a detector should say of a batch at one size.

    Attributes:
        labels: int32 `[B, A, 1]`, see `Assignment`.
        deltas: float32 `[B, A, 4]`.
        size: int32 `[B, 2]`, the height and width that it sees, the same for all images.
    """

    labels: tf.Tensor
    deltas: tf.Tensor
    size: tf.Tensor


@dataclass(frozen=True)
class Detection(DetectionFiles):
    """The task of finding things of C classes.

    Networks return `classes` `[B, A, C]` and `boxes` `[B, A, 4]`, see `models.detector`. In all of them boxes learn the
    ground truth, as the classes of the largest do; what the classes of the others learn is a setting, because
    resolutions share no anchors and the paper only says that the classification branch is distilled (DESIGN section 5).
    Sums over anchors are divided by the number of those that have a box.

    Attributes:
        classes: C, at least 1.
        anchors: What the boxes are shifts of.
        class_target: `distill`, the paper's; `ground_truth`; or `both`, half of each.
        box_loss: `smooth_l1`, `giou` or `ciou`.
        box_weight: How much boxes count beside classes.
        decoding: How detections are chosen, when a network is judged.

    Raises:
        ValueError: If one is out of range.
    """

    classes: int
    anchors: Anchors = field(default_factory=Anchors)
    class_target: str = "both"
    box_loss: str = "giou"
    box_weight: float = 2.0
    decoding: Decoding = field(default_factory=Decoding)

    def __post_init__(self) -> None:
        if self.classes < 1:
            raise ValueError(f"Expected at least one class. Received: classes={self.classes}.")
        for name, allowed in (("class_target", CLASS_TARGETS), ("box_loss", tuple(BOX_LOSSES))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"Expected a {name} of {', '.join(allowed)}. Received: {getattr(self, name)!r}.")
        if not 0.0 < self.box_weight < float("inf"):
            raise ValueError(f"Expected a positive box_weight. Received: {self.box_weight}.")

    @property
    def metric(self) -> Metric:
        """Average precision."""
        return METRIC

    def checked(self, batches: tf.data.Dataset, size: Size) -> tf.data.Dataset:
        """Returns the batches as they are, if they are pairs of images and a dictionary of labels."""
        spec = batches.element_spec
        labels = spec[1] if isinstance(spec, tuple) and len(spec) > 1 else None
        if not isinstance(labels, Mapping) or any(name not in labels for name in _LABELS):
            raise ValueError(
                f"Expected batches of images and labels with {', '.join(_LABELS)}. Received: {labels!r:.200}."
            )
        return batches

    def targets(self, labels: Mapping[str, Any], sample_weight: Any = None) -> dict[str, tf.Tensor]:
        """Keeps of the labels what is learned: boxes, classes and what is a crowd.

        Args:
            labels: `boxes` float32 `[B, N, 4]` in shares of the image, `classes` int32 `[B, N]` with -1 where there is
                no box, `crowd` bool `[B, N]`.
            sample_weight: None.

        Raises:
            ValueError: If images have weights.
        """
        if sample_weight is not None:
            raise ValueError("Expected images that count alike. Received: weights of images, which detection has not.")
        return {name: tf.convert_to_tensor(labels[name]) for name in _LABELS}

    def targets_at(self, targets: Mapping[str, tf.Tensor], size: Any) -> Targets:
        """Gives the anchors of a size the boxes that they are to find."""
        found = assign(targets["boxes"], targets["classes"], targets["crowd"], self.anchors.boxes(size))
        batch = tf.shape(found.labels)[0]
        return Targets(*found, tf.tile(as_pixels(size)[tf.newaxis], [batch, 1]))

    def loss(
        self, outputs: Mapping[str, tf.Tensor], targets: Targets, lesson: Lesson, *, from_labels: tf.Tensor
    ) -> tf.Tensor:
        """Computes the mean over the anchors with a box: what classes and boxes have to lower."""
        logits, deltas = (tf.cast(outputs[name], tf.float32) for name in ("classes", "boxes"))
        # Few anchors have a box, and only those are looked at: int64 [P, 2], image and anchor.
        places = tf.where(targets.labels[..., 0] >= 0)
        wanted, found = tf.gather_nd(targets.deltas, places), tf.gather_nd(deltas, places)
        anchors = tf.gather(self.anchors.boxes(targets.size[0]), places[:, 1])
        of_boxes = tf.reduce_sum(BOX_LOSSES[self.box_loss](wanted, found, anchors))
        of_classes = self._class_loss(logits, targets, lesson, from_labels)
        things = tf.maximum(tf.cast(tf.shape(places)[0], tf.float32), 1.0)
        return (of_classes + self.box_weight * of_boxes) / things

    def _class_loss(self, logits: tf.Tensor, targets: Targets, lesson: Lesson, from_labels: tf.Tensor) -> tf.Tensor:
        """Sums over anchors and classes."""
        truth = tf.one_hot(targets.labels[..., 0], self.classes)
        counts = tf.cast(targets.labels != IGNORED, tf.float32)

        def taught() -> tuple[tf.Tensor, tf.Tensor]:
            said, known = aligned(
                lesson.probabilities,
                teacher_size=tf.cast(lesson.size[0], tf.int32),
                student_size=targets.size[0],
            )
            # Where the teacher has no such scale, hard labels stay; elsewhere it knows what labels ignore.
            return tf.where(known, said, truth), tf.where(known, 1.0, counts)

        def toward(said: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(weight * focal_loss(said, logits))

        share = _SHARES[self.class_target]
        if not share:
            return toward(truth, counts)
        # What is said is chosen, not what is lost: the gradient of a choice would be half of a step's graph.
        loss = toward(*tf.cond(from_labels, lambda: (truth, counts), taught))
        return loss if share == 1.0 else share * loss + (1.0 - share) * toward(truth, counts)

    def lesson(self, outputs: Mapping[str, tf.Tensor], size: Any) -> Lesson:
        """Returns the probabilities, and the size that they belong to."""
        probabilities = tf.stop_gradient(tf.sigmoid(tf.cast(outputs["classes"], tf.float32)))
        pixels = tf.cast(as_pixels(size), tf.float32)
        return Lesson(probabilities, tf.tile(pixels[tf.newaxis], [tf.shape(probabilities)[0], 1]))

    def progress(self, lesson: Lesson, targets: Targets) -> tf.Tensor:
        """Returns the mean probability of the right class, over the anchors that have one."""
        labels = targets.labels[..., 0]
        right = tf.reduce_sum(tf.one_hot(labels, self.classes) * lesson.probabilities)
        return right / tf.maximum(tf.reduce_sum(tf.cast(labels >= 0, tf.float32)), 1.0)

    def evaluator(self, size: Size) -> "DetectionEvaluator":
        """Returns what computes AP."""
        return DetectionEvaluator(self, size)


class DetectionEvaluator:
    """Decodes what a network says, and hands it to what computes AP.

    Args:
        task: How it is decoded.
        size: What the network sees.
    """

    def __init__(self, task: Detection, size: Size):
        self._task, self._size = task, size
        self._precision = AveragePrecision()

    def update(self, outputs: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]) -> None:
        """Adds a batch, see `Evaluator`."""
        task = self._task
        self._precision.update(task.decoding.decode(outputs, size=self._size, anchors=task.anchors), labels)

    def share(self, total: Callable[[np.ndarray], np.ndarray]) -> None:
        """Adds up what several processes have found."""
        self._precision.share(total)

    def result(self) -> Any:
        """Returns the scores."""
        return self._precision.result()
