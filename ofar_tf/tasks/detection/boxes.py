"""Boxes as numbers: how much two of them have in common, and how one is written as a shift of another.

Boxes are `[..., 4]`: top, left, bottom, right. Deltas are `[..., 4]`: of the centre, in heights and widths of the
anchor, and of the logarithms of height and width: (dy, dx, dh, dw), the order of MediaPipe's detectors.
"""

import math
from typing import Any

import tensorflow as tf

# No box is more than 62.5 times as high as its anchor: before that, exp would be infinite (Detectron).
LARGEST_LOG = math.log(1000.0 / 16.0)
_LEAST = 1e-8


def areas(boxes: Any) -> tf.Tensor:
    """Returns the areas, `[...]`; 0 for boxes whose sides are the wrong way round."""
    return _areas(*_edges(boxes))


def intersections(first: Any, second: Any) -> tf.Tensor:
    """Returns the areas that boxes of broadcastable shapes have in common, `[...]`."""
    (top, left, bottom, right), others = _edges(first), _edges(second)
    return _areas(
        tf.maximum(top, others[0]),
        tf.maximum(left, others[1]),
        tf.minimum(bottom, others[2]),
        tf.minimum(right, others[3]),
    )


def overlaps(first: Any, second: Any, common: Any = None) -> tf.Tensor:
    """Returns intersection over union of boxes of broadcastable shapes, `[...]` in [0, 1]; 0 for empty ones.

    Args:
        first: Boxes.
        second: Boxes.
        common: Their `intersections`, where these are known.
    """
    if common is None:
        common = intersections(first, second)
    return tf.math.divide_no_nan(common, areas(first) + areas(second) - common)


def _edges(boxes: Any) -> list[tf.Tensor]:
    """Takes boxes apart into their tops, lefts, bottoms and rights, `[...]` each.

    Numbers of one kind side by side are many times faster to work on than every fourth of a row, both ways.
    """
    taken: list[tf.Tensor] = tf.unstack(boxes, num=4, axis=-1)
    return taken


def _areas(top: tf.Tensor, left: tf.Tensor, bottom: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    return tf.maximum(bottom - top, 0.0) * tf.maximum(right - left, 0.0)


def encode(boxes: Any, anchors: Any) -> tf.Tensor:
    """Writes boxes as deltas of anchors.

    Args:
        boxes: `[..., 4]`, of positive height and width.
        anchors: Of the same shape.

    Returns:
        Deltas of the same shape.
    """
    (centre, sides), (own_centre, own_sides) = _centre_and_sides(boxes), _centre_and_sides(anchors)
    return tf.concat([(centre - own_centre) / own_sides, tf.math.log(tf.maximum(sides, _LEAST) / own_sides)], axis=-1)


def decode(deltas: Any, anchors: Any) -> tf.Tensor:
    """Inverts `encode`; boxes more than 62.5 times as large as their anchors are cut to that."""
    centre, sides = _centre_and_sides(anchors)
    centre += deltas[..., :2] * sides
    halves = 0.5 * sides * tf.exp(tf.minimum(deltas[..., 2:], LARGEST_LOG))
    return tf.concat([centre - halves, centre + halves], axis=-1)


def _centre_and_sides(boxes: Any) -> tuple[tf.Tensor, tf.Tensor]:
    return 0.5 * (boxes[..., :2] + boxes[..., 2:]), boxes[..., 2:] - boxes[..., :2]
