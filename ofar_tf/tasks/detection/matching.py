"""Which box each anchor is to find (RetinaNet, section 4.1)."""

from typing import Any, NamedTuple

import tensorflow as tf

from ofar_tf.tasks.detection.boxes import areas, encode, intersections, overlaps

BACKGROUND = -1
IGNORED = -2

POSITIVE_OVERLAP = 0.5
NEGATIVE_OVERLAP = 0.4


class Assignment(NamedTuple):
    """What anchors are to learn.

    Attributes:
        labels: int32 `[..., A, 1]`: a class, `BACKGROUND`, or `IGNORED`.
        deltas: float32 `[..., A, 4]`: the box of an anchor that has a class, see `encode`; 0 for the others.
    """

    labels: tf.Tensor
    deltas: tf.Tensor


def assign(boxes: Any, classes: Any, crowd: Any, anchors: Any) -> Assignment:
    """Gives the anchors of a batch boxes, one image after the other: all pairs of a batch would not fit in memory.

    Args:
        boxes: float32 `[B, N, 4]`, in the unit of the anchors.
        classes: int32 `[B, N]`, from 0; negative where there is no box.
        crowd: bool `[B, N]`: whether the box holds many things, which are not marked one by one.
        anchors: float32 `[A, 4]`.

    Returns:
        The assignment, `[B, A, ...]`.
    """
    form = Assignment(tf.TensorSpec([None, 1], tf.int32), tf.TensorSpec([None, 4], tf.float32))
    return tf.map_fn(
        lambda image: assign_image(image[0], image[1], image[2], anchors),
        (boxes, classes, crowd),
        fn_output_signature=form,
    )


def assign_image(boxes: Any, classes: Any, crowd: Any, anchors: Any) -> Assignment:
    """Gives the anchors of one image boxes.

    An anchor finds the box that it overlaps most, if the intersection over union is at least a half; below .4 it is
    background, between it is ignored. The anchor that overlaps a box most finds this box in any case, if they overlap
    at all. What lies by half or more in a crowd, and finds nothing, is ignored.

    Args:
        boxes: float32 `[N, 4]`.
        classes: int32 `[N]`.
        crowd: bool `[N]`.
        anchors: float32 `[A, 4]`.

    Returns:
        The assignment, `[A, ...]`.
    """
    count = tf.shape(anchors)[0]
    # With a box that overlaps nothing there is always a largest one.
    boxes = tf.concat([tf.zeros([1, 4]), boxes], axis=0)
    classes = tf.concat([[BACKGROUND], classes], axis=0)
    crowd = tf.concat([[False], crowd], axis=0)
    single = (classes >= 0) & ~crowd
    common = intersections(anchors[:, tf.newaxis], boxes)
    found = tf.where(single, overlaps(anchors[:, tf.newaxis], boxes, common), -1.0)
    best, overlap = tf.argmax(found, axis=1, output_type=tf.int32), tf.reduce_max(found, axis=1)
    chosen, is_chosen = _best_anchors(found, count)
    positive = is_chosen | (overlap >= POSITIVE_OVERLAP)
    matched = tf.where(is_chosen, chosen, best)
    in_crowd = tf.reduce_max(tf.where(crowd & (classes >= 0), common, 0.0), axis=1) >= 0.5 * areas(anchors)
    unsure = (overlap >= NEGATIVE_OVERLAP) | in_crowd
    labels = tf.where(positive, tf.gather(classes, matched), tf.where(unsure, IGNORED, BACKGROUND))
    targets = tf.where(positive[:, tf.newaxis], tf.gather(boxes, matched), anchors)
    return Assignment(labels[:, tf.newaxis], encode(targets, anchors))


def _best_anchors(found: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns for each anchor the box that overlaps no other anchor more, int32 `[A]`, and whether there is one.

    Of several such boxes an anchor takes the one that it overlaps most.
    """
    anchor, overlap = tf.argmax(found, axis=0, output_type=tf.int32), tf.reduce_max(found, axis=0)
    largest = tf.math.unsorted_segment_max(overlap, anchor, count)
    wins = (overlap > 0.0) & (overlap >= tf.gather(largest, anchor))
    numbers = tf.where(wins, tf.range(tf.shape(found)[1]), -1)
    box = tf.math.unsorted_segment_max(numbers, anchor, count)
    return tf.maximum(box, 0), box >= 0
