"""From a detector's raw outputs to detections: the most likely boxes, each thing once."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from ofar_tf.tasks.detection.anchors import Anchors
from ofar_tf.tasks.detection.boxes import decode
from ofar_tf.text.size import Size

# In shares of the image; far below a pixel, and above the rounding of boxes that are laid apart.
_LEAST_SIDE = 1e-4


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
            self._decode_image(classes, decode(deltas, boxes))
            for classes, deltas in zip(outputs["classes"], outputs["boxes"], strict=True)
        ]
        keys = ("boxes", "classes", "scores", "count")
        return {key: np.stack([image[key] for image in found]) for key in keys}

    def _decode_image(self, logits: np.ndarray, boxes: tf.Tensor) -> dict[str, np.ndarray]:
        classes = logits.shape[-1]
        flat = tf.sigmoid(tf.reshape(logits, [-1]))
        scores, pairs = tf.math.top_k(flat, tf.minimum(self.candidates, tf.size(flat)))
        of_class, boxes = pairs % classes, tf.clip_by_value(tf.gather(boxes, pairs // classes), 0.0, 1.0)
        scores *= tf.cast(has_area(boxes), tf.float32)
        # Far apart for each class, boxes of different classes never suppress one another.
        apart = boxes + 2.0 * tf.cast(of_class, tf.float32)[:, tf.newaxis]
        kept = tf.image.non_max_suppression(
            apart, scores, self.detections, iou_threshold=self.iou_threshold, score_threshold=self.score_threshold
        )
        count = int(kept.shape[0])
        padding = self.detections - count
        return {
            "boxes": np.pad(tf.gather(boxes, kept), [(0, padding), (0, 0)]),
            "classes": np.pad(tf.gather(of_class, kept), [(0, padding)]),
            "scores": np.pad(tf.gather(scores, kept), [(0, padding)]),
            "count": np.array(count, np.int32),
        }


def has_area(boxes: tf.Tensor) -> tf.Tensor:
    """Tells which boxes `[..., 4]` are more than a line, bool `[...]`; what is beyond the image is cut to one.

    Such a box finds nothing, and LiteRT's suppression, which divides by areas, goes wrong at it.
    """
    return tf.reduce_min(boxes[..., 2:] - boxes[..., :2], axis=-1) > _LEAST_SIDE
