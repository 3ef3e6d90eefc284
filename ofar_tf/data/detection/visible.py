"""What is left of boxes of which only a part is seen."""

import tensorflow as tf

from ofar_tf.data.detection.annotations import NO_CLASS

Labels = dict[str, tf.Tensor]
# Of a box that is cut, at least this share of its area must be seen: less seldom shows what it is.
_LEAST_SHARE = 0.25


def cut_to(labels: Labels, window: tf.Tensor, *, least: tf.Tensor) -> Labels:
    """Cuts boxes at the edges of a window, and takes those out of which too little is left.

    Args:
        labels: `boxes` float32 [..., N, 4], `classes` int32 [..., N], `crowd` bool [..., N], and more.
        window: float32, broadcasts to the boxes.
        least: The least height and width of a box, twice, which broadcasts likewise.

    Returns:
        The labels; a box that is taken out is one without a class, as padding is.
    """
    boxes = labels["boxes"]
    cut = tf.clip_by_value(
        boxes, tf.tile(window[..., :2], _twice_last(window)), tf.tile(window[..., 2:], _twice_last(window))
    )
    sides = cut[..., 2:] - cut[..., :2]
    seen = _area(cut) >= _LEAST_SHARE * _area(boxes)
    kept = (labels["classes"] != NO_CLASS) & seen & tf.reduce_all(sides >= least[..., 2:], axis=-1)
    return {
        **labels,
        "boxes": tf.where(kept[..., tf.newaxis], cut, 0.0),
        "classes": tf.where(kept, labels["classes"], NO_CLASS),
        "crowd": labels["crowd"] & kept,
    }


def moved_to_the_front(labels: Labels, *, most: int | None = None) -> Labels:
    """Sorts boxes by their area, so that padding stands behind them.

    Args:
        labels: What `cut_to` returned.
        most: How many boxes to keep, the largest ones; None for all.

    Returns:
        The labels, whose N is `most`.
    """
    boxes = labels["boxes"]
    rank = tf.where(labels["classes"] == NO_CLASS, -1.0, _area(boxes))
    _, order = tf.math.top_k(rank, most or boxes.shape[-2])
    rows = [name for name in ("boxes", "classes", "crowd", "area") if name in labels]
    return {**labels, **{name: tf.gather(labels[name], order, batch_dims=boxes.shape.rank - 2) for name in rows}}


def _area(boxes: tf.Tensor) -> tf.Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _twice_last(window: tf.Tensor) -> list[int]:
    return [*[1] * (window.shape.rank - 1), 2]
