"""What a detector's file computes behind its network: each thing once, in operators that every LiteRT has."""

from collections.abc import Mapping
from dataclasses import dataclass

import tensorflow as tf

from ofar_tf.tasks.detection.anchors import Anchors
from ofar_tf.tasks.detection.decoding import Decoding
from ofar_tf.text.size import Size


@dataclass(frozen=True)
class DetectionEnding:
    """From scores and deltas of one image to detections: `Decoding` as a graph of static shapes.

    Attributes:
        anchors: What the boxes are shifts of.
        decoding: How detections are chosen.
    """

    anchors: Anchors
    decoding: Decoding

    def __call__(self, outputs: Mapping[str, tf.Tensor], size: Size) -> dict[str, tf.Tensor]:
        """Chooses the detections.

        Args:
            outputs: `scores` `[1, A, C]`, in 0..1, and `boxes` `[1, A, 4]`, deltas.
            size: What the network saw.

        Returns:
            `boxes` `[1, K, 4]` in shares of the image, `classes` `[1, K]`, `scores` `[1, K]`, falling, and `count`
            `[1]`; all float32, as MediaPipe takes them. Zeros stand behind the last detection.
        """
        settings = self.decoding
        found = settings.most_likely(outputs["scores"][0], outputs["boxes"][0], self._anchors(size))
        kept, count = tf.raw_ops.NonMaxSuppressionV4(
            boxes=found.apart,
            scores=found.scores,
            max_output_size=settings.detections,
            iou_threshold=settings.iou_threshold,
            score_threshold=settings.score_threshold,
            pad_to_max_output_size=True,
        )
        kept = tf.reshape(kept, [settings.detections])
        there = tf.cast(tf.range(settings.detections) < count, tf.float32)
        return {
            "boxes": (there[:, tf.newaxis] * tf.gather(found.boxes, kept))[tf.newaxis],
            "classes": (there * tf.gather(tf.cast(found.classes, tf.float32), kept))[tf.newaxis],
            "scores": (there * tf.gather(found.scores, kept))[tf.newaxis],
            "count": tf.reshape(tf.cast(count, tf.float32), [1]),
        }

    def _anchors(self, size: Size) -> tf.Tensor:
        """Returns the anchors as a constant."""
        with tf.init_scope():
            return tf.constant(self.anchors.boxes(size).numpy())
