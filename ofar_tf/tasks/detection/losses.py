"""What classes and boxes learn by."""

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from ofar_tf.tasks.detection.boxes import areas, decode, overlaps

# RetinaNet, section 4.
_ALPHA = 0.25
# Where the squared error becomes a linear one (Detectron).
_BEND = 1.0 / 9.0
_LEAST = 1e-8


def focal_loss(probabilities: Any, logits: Any) -> tf.Tensor:
    """Computes the focal loss, for targets that may lie between 0 and 1.

    It is the cross-entropy of each class by itself, times the squared error of the probability, times .25 for things
    and .75 for background. For targets of 0 and 1 this is Lin et al.'s (arXiv:1708.02002, Equation 5), for others Li et
    al.'s quality focal loss (arXiv:2006.04388) with the balance of the former; it is 0 where both agree.

    Args:
        probabilities: The targets, float32 in [0, 1].
        logits: Of the same shape.

    Returns:
        The losses, of the same shape.
    """
    error = tf.abs(probabilities - tf.sigmoid(logits))
    balance = _ALPHA * probabilities + (1.0 - _ALPHA) * (1.0 - probabilities)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=probabilities, logits=logits)
    return balance * tf.square(error) * entropy  # Their gamma is 2; a power's gradient would take logarithms.


def smooth_l1(wanted: Any, deltas: Any, anchors: Any) -> tf.Tensor:
    """Computes the error of deltas, squared below a ninth and linear above, summed over the four.

    Args:
        wanted: Deltas, float32 `[..., 4]`.
        deltas: Of the same shape.
        anchors: Not used.

    Returns:
        The losses, `[...]`.
    """
    error = tf.abs(wanted - deltas)
    return tf.reduce_sum(tf.where(error < _BEND, 0.5 * error**2 / _BEND, error - 0.5 * _BEND), axis=-1)


def giou(wanted: Any, deltas: Any, anchors: Any) -> tf.Tensor:
    """Computes 1 - generalized intersection over union (Rezatofighi et al. 2019, arXiv:1902.09630).

    Args:
        wanted: Deltas, float32 `[..., 4]`.
        deltas: Of the same shape.
        anchors: What they shift, of the same shape.

    Returns:
        The losses, `[...]` in [0, 2).
    """
    boxes, truth = decode(deltas, anchors), decode(wanted, anchors)
    hull = areas(_hull(boxes, truth))
    overlap = overlaps(boxes, truth)
    union = (areas(boxes) + areas(truth)) / (1.0 + overlap)
    return 1.0 - overlap + (hull - union) / tf.maximum(hull, _LEAST)


def ciou(wanted: Any, deltas: Any, anchors: Any) -> tf.Tensor:
    """Computes 1 - complete intersection over union (Zheng et al. 2019, arXiv:1911.08287); arguments as for `giou`."""
    boxes, truth = decode(deltas, anchors), decode(wanted, anchors)
    overlap, hull = overlaps(boxes, truth), _hull(boxes, truth)
    diagonal = tf.reduce_sum((hull[..., 2:] - hull[..., :2]) ** 2, axis=-1)
    distance = tf.reduce_sum((_centre(boxes) - _centre(truth)) ** 2, axis=-1)
    shape = 4.0 / math.pi**2 * (_angle(truth) - _angle(boxes)) ** 2
    weight = tf.stop_gradient(shape / tf.maximum(1.0 - overlap + shape, _LEAST))
    return 1.0 - overlap + distance / tf.maximum(diagonal, _LEAST) + weight * shape


def _hull(first: Any, second: Any) -> tf.Tensor:
    return tf.concat([tf.minimum(first, second)[..., :2], tf.maximum(first, second)[..., 2:]], axis=-1)


def _centre(boxes: Any) -> tf.Tensor:
    return 0.5 * (boxes[..., :2] + boxes[..., 2:])


def _angle(boxes: Any) -> tf.Tensor:
    height, width = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    return tf.atan(width / tf.maximum(height, _LEAST))


BOX_LOSSES: dict[str, Callable[[Any, Any, Any], tf.Tensor]] = {"smooth_l1": smooth_l1, "giou": giou, "ciou": ciou}
