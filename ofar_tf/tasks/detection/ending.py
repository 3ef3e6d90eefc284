"""What a detector's file computes behind its network: each thing once, in operators that every LiteRT has."""

from collections.abc import Mapping
from dataclasses import dataclass

import tensorflow as tf

from ofar_tf.tasks.detection.anchors import Anchors
from ofar_tf.tasks.detection.boxes import decode
from ofar_tf.tasks.detection.decoding import Decoding, has_area
from ofar_tf.text.size import Size


@dataclass(frozen=True)
class DetectionEnding:
    """From scores and deltas of one image to detections: `Decoding` as a graph of static shapes.

    Only the candidates are decoded. Boxes of different classes are laid far apart, so that one suppression serves all.

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
        settings, classes = self.decoding, outputs["scores"].shape[-1]
        candidates = min(settings.candidates, outputs["scores"].shape[1] * classes)
        scores, pairs = tf.math.top_k(tf.reshape(outputs["scores"], [-1]), candidates)
        of_class, place = pairs % classes, pairs // classes
        boxes = decode(tf.gather(outputs["boxes"][0], place), tf.gather(self._anchors(size), place))
        boxes = tf.clip_by_value(boxes, 0.0, 1.0)
        # LiteRT's suppression goes wrong at boxes without area.
        scores *= tf.cast(has_area(boxes), tf.float32)
        apart = boxes + 2.0 * tf.cast(of_class, tf.float32)[:, tf.newaxis]
        kept, count = tf.raw_ops.NonMaxSuppressionV4(
            boxes=apart,
            scores=scores,
            max_output_size=settings.detections,
            iou_threshold=settings.iou_threshold,
            score_threshold=settings.score_threshold,
            pad_to_max_output_size=True,
        )
        kept = tf.reshape(kept, [settings.detections])
        there = tf.cast(tf.range(settings.detections) < count, tf.float32)
        return {
            "boxes": (there[:, tf.newaxis] * tf.gather(boxes, kept))[tf.newaxis],
            "classes": (there * tf.gather(tf.cast(of_class, tf.float32), kept))[tf.newaxis],
            "scores": (there * tf.gather(scores, kept))[tf.newaxis],
            "count": tf.reshape(tf.cast(count, tf.float32), [1]),
        }

    def _anchors(self, size: Size) -> tf.Tensor:
        """Returns the anchors as a constant."""
        with tf.init_scope():
            return tf.constant(self.anchors.boxes(size).numpy())
