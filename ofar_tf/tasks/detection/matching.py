"""Which box each anchor is to find (RetinaNet, section 4.1)."""

from typing import Any, NamedTuple

import tensorflow as tf

from ofar_tf.tasks.detection.boxes import areas, encode, intersections, overlaps

BACKGROUND = -1
IGNORED = -2

POSITIVE_OVERLAP = 0.5
NEGATIVE_OVERLAP = 0.4

# So many pairs of an anchor and a box are compared at once: about 100 MB, some twenty numbers each.
_MOST_PAIRS = 2**20


class Assignment(NamedTuple):
    """What anchors are to learn.

    Attributes:
        labels: int32 `[..., A, 1]`: a class, `BACKGROUND`, or `IGNORED`.
        deltas: float32 `[..., A, 4]`: the box of an anchor that has a class, see `encode`; 0 for the others.
    """

    labels: tf.Tensor
    deltas: tf.Tensor


def assign(boxes: Any, classes: Any, crowd: Any, anchors: Any) -> Assignment:
    """Gives the anchors of a batch boxes, as many images at a time as fit in memory: mostly all of them.

    An anchor finds the box that it overlaps most, if the intersection over union is at least a half; below .4 it is
    background, between it is ignored. The anchor that overlaps a box most finds this box in any case, if they overlap
    at all. What lies by half or more in a crowd, and finds nothing, is ignored.

    Args:
        boxes: float32 `[B, N, 4]`, in the unit of the anchors.
        classes: int32 `[B, N]`, from 0; negative where there is no box.
        crowd: bool `[B, N]`: whether the box holds many things, which are not marked one by one.
        anchors: float32 `[A, 4]`.

    Returns:
        The assignment, `[B, A, ...]`.
    """
    boxes, classes, crowd = map(tf.convert_to_tensor, (boxes, classes, crowd))
    images, count = tf.shape(boxes)[0], tf.shape(anchors)[0]
    at_once = tf.maximum(_MOST_PAIRS // (count * (1 + tf.shape(boxes)[1])), 1)

    def some(start: tf.Tensor, *done: tf.Tensor) -> tuple[tf.Tensor, ...]:
        chosen = slice(start, start + at_once)
        found = _assigned(boxes[chosen], classes[chosen], crowd[chosen], anchors)
        return start + at_once, *(tf.concat(parts, axis=0) for parts in zip(done, found, strict=True))

    nothing = tf.zeros([0, count, 1], tf.int32), tf.zeros([0, count, 4])
    _, labels, deltas = tf.while_loop(
        lambda start, *_: start < images,
        some,
        (tf.constant(0), *nothing),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, None, 1]), tf.TensorShape([None, None, 4])),
    )
    return Assignment(labels, deltas)


def _assigned(boxes: tf.Tensor, classes: tf.Tensor, crowd: tf.Tensor, anchors: Any) -> Assignment:
    # With a box that overlaps nothing there is always a largest one.
    boxes = tf.pad(boxes, [[0, 0], [1, 0], [0, 0]])
    classes = tf.pad(classes, [[0, 0], [1, 0]], constant_values=BACKGROUND)
    crowd = tf.pad(crowd, [[0, 0], [1, 0]])
    single, many = (classes >= 0) & ~crowd, (classes >= 0) & crowd
    anchors = tf.convert_to_tensor(anchors)
    # [B, N, A], for long rows are fast.
    pairs = boxes[:, :, tf.newaxis]
    common = intersections(pairs, anchors)
    found = tf.where(single[..., tf.newaxis], overlaps(pairs, anchors, common), -1.0)
    overlap, best = _largest(found, axis=1)
    chosen, is_chosen = _best_anchors(found)
    positive = is_chosen | (overlap >= POSITIVE_OVERLAP)
    matched = tf.where(is_chosen, chosen, best)
    crowded = tf.reduce_max(tf.where(many[..., tf.newaxis], common, 0.0), axis=1) >= 0.5 * areas(anchors)
    unsure = (overlap >= NEGATIVE_OVERLAP) | crowded
    labels = tf.where(positive, tf.gather(classes, matched, batch_dims=1), tf.where(unsure, IGNORED, BACKGROUND))
    targets = tf.where(positive[..., tf.newaxis], tf.gather(boxes, matched, batch_dims=1), anchors)
    return Assignment(labels[..., tf.newaxis], encode(targets, tf.broadcast_to(anchors, tf.shape(targets))))


def _largest(found: tf.Tensor, *, axis: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the largest number along an axis and where it first is, int32; much faster than `argmax` on a CPU."""
    largest = tf.reduce_max(found, axis=axis, keepdims=True)
    count = tf.shape(found)[axis]
    place = tf.range(count)[:, tf.newaxis] if axis == 1 else tf.range(count)
    return tf.squeeze(largest, axis), tf.reduce_min(tf.where(found == largest, place, count), axis=axis)


def _best_anchors(found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns for each anchor the box that overlaps no other anchor more, int32 `[B, A]`, and whether there is one.

    Of several such boxes an anchor takes the one that it overlaps most.
    """
    images, boxes, count = tf.unstack(tf.shape(found))
    overlap, anchor = _largest(found, axis=2)
    # Anchors of different images are different segments.
    segment = anchor + count * tf.range(images)[:, tf.newaxis]
    largest = tf.math.unsorted_segment_max(overlap, segment, images * count)
    wins = (overlap > 0.0) & (overlap >= tf.gather(largest, segment))
    numbers = tf.where(wins, tf.range(boxes), -1)
    box = tf.reshape(tf.math.unsorted_segment_max(numbers, segment, images * count), [images, count])
    return tf.maximum(box, 0), box >= 0
