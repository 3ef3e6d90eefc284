"""From a detector's raw outputs to detections: the most likely boxes, each thing once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ofar_tf.tasks.detection.anchors import Anchors
from ofar_tf.tasks.detection.boxes import decode
from ofar_tf.text.size import Size

# In shares of the image; far below a pixel, and above the rounding of boxes that are laid apart.
_LEAST_SIDE = 1e-4


class Candidates(NamedTuple):
    """What may become detections of an image, the most likely first.

    Attributes:
        boxes: float32 `[K, 4]` in shares of the image, within it.
        classes: int32 `[K]`.
        scores: float32 `[K]`; 0 for boxes without area.
        apart: float32 `[K, 4]`, the boxes with those of each class moved away from all others, so that boxes of
            different classes never suppress one another.
    """

    boxes: tf.Tensor
    classes: tf.Tensor
    scores: tf.Tensor
    apart: tf.Tensor


@dataclass(frozen=True)
class Decoding:
    """How detections are chosen.

    Attributes:
        score_threshold: Least score of a detection, in [0, 1).
        candidates: How many of an image's (anchor, class) pairs are looked at, the most likely ones.
        iou_threshold: Of two detections of a class that overlap more, only the more likely is kept.
        detections: Most detections of an image, at least 1.

    Raises:
        ValueError: If one is out of range.
    """

    score_threshold: float = 0.01
    candidates: int = 1000
    iou_threshold: float = 0.5
    detections: int = 100

    def __post_init__(self) -> None:
        if not (0.0 <= self.score_threshold < 1.0 and 0.0 <= self.iou_threshold <= 1.0):
            raise ValueError(
                "Expected thresholds in [0, 1]. "
                f"Received: score_threshold={self.score_threshold}, iou_threshold={self.iou_threshold}."
            )
        if min(self.candidates, self.detections) < 1:
            raise ValueError(
                "Expected at least one detection. "
                f"Received: candidates={self.candidates}, detections={self.detections}."
            )

    def decode(self, outputs: Mapping[str, np.ndarray], *, size: Size, anchors: Anchors) -> dict[str, np.ndarray]:
        """Chooses the detections of a batch.

        Args:
            outputs: `classes` `[B, A, C]`, logits, and `boxes` `[B, A, 4]`, deltas.
            size: What the network saw.
            anchors: The anchors.

        Returns:
            `boxes` float32 `[B, K, 4]` in shares of the image, within it; `classes` int32 `[B, K]`; `scores` float32
            `[B, K]`, falling; `count` int32 `[B]`. Zeros stand behind the detections of an image.
        """
        boxes = anchors.boxes(size)
        found = [
            self._decode_image(classes, deltas, boxes)
            for classes, deltas in zip(outputs["classes"], outputs["boxes"], strict=True)
        ]
        keys = ("boxes", "classes", "scores", "count")
        return {key: np.stack([image[key] for image in found]) for key in keys}

    def _decode_image(self, logits: np.ndarray, deltas: np.ndarray, anchors: tf.Tensor) -> dict[str, np.ndarray]:
        found = self.most_likely(tf.sigmoid(logits), deltas, anchors)
        kept = tf.image.non_max_suppression(
            found.apart,
            found.scores,
            self.detections,
            iou_threshold=self.iou_threshold,
            score_threshold=self.score_threshold,
        )
        count = int(kept.shape[0])
        padding = self.detections - count
        return {
            "boxes": np.pad(tf.gather(found.boxes, kept), [(0, padding), (0, 0)]),
            "classes": np.pad(tf.gather(found.classes, kept), [(0, padding)]),
            "scores": np.pad(tf.gather(found.scores, kept), [(0, padding)]),
            "count": np.array(count, np.int32),
        }

    def most_likely(self, scores: tf.Tensor, deltas: tf.Tensor, anchors: tf.Tensor) -> Candidates:
        """Picks an image's candidates, before any is suppressed; only they are decoded.

        Args:
            scores: float32 `[A, C]`, in [0, 1].
            deltas: float32 `[A, 4]`.
            anchors: float32 `[A, 4]`.

        Returns:
            As many as `candidates`, or all pairs where they are fewer.
        """
        pairs_of_all, classes = scores.shape[0] * scores.shape[1], scores.shape[1]
        best, pairs = tf.math.top_k(tf.reshape(scores, [-1]), min(self.candidates, pairs_of_all))
        of_class, place = pairs % classes, pairs // classes
        boxes = decode(tf.gather(deltas, place), tf.gather(anchors, place))
        boxes = tf.clip_by_value(boxes, 0.0, 1.0)
        best *= tf.cast(_has_area(boxes), tf.float32)
        return Candidates(boxes, of_class, best, boxes + 2.0 * tf.cast(of_class, tf.float32)[:, tf.newaxis])


def _has_area(boxes: tf.Tensor) -> tf.Tensor:
    """Tells which boxes `[..., 4]` are more than a line, bool `[...]`; what is beyond the image is cut to one.

    Such a box finds nothing, and LiteRT's suppression, which divides by areas, goes wrong at it.
    """
    return tf.reduce_min(boxes[..., 2:] - boxes[..., :2], axis=-1) > _LEAST_SIDE
