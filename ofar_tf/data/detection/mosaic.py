"""Mosaics: four images of a batch on one canvas (YOLOv4, Bochkovskiy et al. 2020)."""

import tensorflow as tf

from ofar_tf.data.detection.visible import Labels, cut_to, moved_to_the_front

# Where the four meet, as shares of the canvas.
_LEAST, _GREATEST = 0.3, 0.7
_PARTS = 4


def mosaic(images: tf.Tensor, labels: Labels, seed: tf.Tensor, *, share: float) -> tuple[tf.Tensor, Labels]:
    """Puts images together: each, with the probability `share`, becomes the top left of four.

    The others are the next three of its batch (batches are shuffled, so these are any). Each gives a window of its
    canvas, from a random place in the part that its image covers, where that is large enough. Of more boxes than N the
    largest stay.

    Args:
        images: float32 [B, H, W, 3].
        labels: `boxes` [B, N, 4] as shares of the canvas, `classes`, `crowd` and `area` [B, N], `content` [B, 2].
        seed: int32 or int64 [2]; all that the draws depend on.
        share: In [0, 1].

    Returns:
        The same.
    """
    batch, canvas = tf.shape(images)[0], tf.constant(images.shape[1:3].as_list(), tf.float32)
    choice_seed, centre_seed, place_seed = tf.unstack(tf.random.split(seed, 3))
    centres = tf.random.stateless_uniform([batch, 2], centre_seed, _LEAST, _GREATEST)
    centres = tf.round(centres * canvas)
    places = tf.random.stateless_uniform([_PARTS, batch, 2], place_seed)
    shifts, found = [], []
    for part in range(_PARTS):
        own = {name: tf.roll(each, -part, axis=0) for name, each in labels.items()}
        below_or_right = [part >= 2, part % 2 == 1]
        corner, end = tf.where(below_or_right, centres, 0.0), tf.where(below_or_right, canvas, centres)
        room = tf.maximum(tf.round(own["content"] * canvas) - (end - corner), 0.0)
        shift = corner - tf.floor(places[part] * (room + 1.0))
        boxes = own["boxes"] + (tf.tile(shift, [1, 2]) / tf.tile(canvas, [2]))[:, tf.newaxis]
        window = (tf.concat([corner, end], axis=1) / tf.tile(canvas, [2]))[:, tf.newaxis]
        found.append(cut_to({**own, "boxes": boxes}, window, least=1.0 / tf.tile(canvas, [2])))
        shifts.append(shift)
    picture = _assembled(images, tf.cast(centres, tf.int32), tf.cast(tf.stack(shifts, axis=1), tf.int32))
    rows = {name: tf.concat([each[name] for each in found], axis=1) for name in ("boxes", "classes", "crowd", "area")}
    whole = moved_to_the_front(
        {**labels, **rows, "content": tf.ones_like(labels["content"])}, most=labels["boxes"].shape[1]
    )
    chosen = tf.random.stateless_uniform([batch], choice_seed) < share
    return _where(chosen, picture, images), {name: _where(chosen, whole[name], each) for name, each in labels.items()}


def _assembled(images: tf.Tensor, centres: tf.Tensor, shifts: tf.Tensor) -> tf.Tensor:
    """Returns the pictures; every pixel is fetched once, from the image whose part of the canvas it lies in.

    Args:
        images: float32 [B, H, W, 3].
        centres: int32 [B, 2], where the four parts meet.
        shifts: int32 [B, 4, 2], how far the image of each part is moved down and right; no pixel comes from beyond it.
    """
    height, width, channels = images.shape[1:]
    rows, columns = tf.range(height)[:, tf.newaxis], tf.range(width)
    below = rows >= centres[:, 0, tf.newaxis, tf.newaxis]
    right = columns >= centres[:, 1, tf.newaxis, tf.newaxis]
    part = 2 * tf.cast(below, tf.int32) + tf.cast(right, tf.int32)
    down, across = tf.unstack(tf.gather(shifts, part, batch_dims=1), axis=-1)
    batch = tf.shape(images)[0]
    source = (tf.range(batch)[:, tf.newaxis, tf.newaxis] + part) % batch
    pixels = (source * height + rows - down) * width + columns - across
    return tf.gather(tf.reshape(images, [-1, channels]), pixels)


def _where(chosen: tf.Tensor, these: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.reshape(chosen, [-1, *[1] * (others.shape.rank - 1)]), these, others)
