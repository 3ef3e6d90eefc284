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
    picture, found = tf.zeros_like(images), []
    for part in range(_PARTS):
        own = {name: tf.roll(each, -part, axis=0) for name, each in labels.items()}
        corner = tf.where([part >= 2, part % 2 == 1], centres, 0.0)
        end = tf.where([part >= 2, part % 2 == 1], canvas, centres)
        room = tf.maximum(own["content"] * canvas - (end - corner), 0.0)
        shift = corner - tf.floor(places[part] * (room + 1.0))
        picture += _shifted(tf.roll(images, -part, axis=0), shift, corner, end)
        boxes = own["boxes"] + (tf.tile(shift, [1, 2]) / tf.tile(canvas, [2]))[:, tf.newaxis]
        window = (tf.concat([corner, end], axis=1) / tf.tile(canvas, [2]))[:, tf.newaxis]
        found.append(cut_to({**own, "boxes": boxes}, window, least=1.0 / tf.tile(canvas, [2])))
    rows = {name: tf.concat([each[name] for each in found], axis=1) for name in ("boxes", "classes", "crowd", "area")}
    whole = moved_to_the_front(
        {**labels, **rows, "content": tf.ones_like(labels["content"])}, most=labels["boxes"].shape[1]
    )
    chosen = tf.random.stateless_uniform([batch], choice_seed) < share
    return _where(chosen, picture, images), {name: _where(chosen, whole[name], each) for name, each in labels.items()}


def _shifted(images: tf.Tensor, shift: tf.Tensor, corner: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    """Returns images moved down and right, and black outside of a window.

    Args:
        images: float32 [B, H, W, 3].
        shift: float32 [B, 2], whole pixels.
        corner: float32 [B, 2], where the window begins.
        end: float32 [B, 2], where it ends.
    """
    moved = images
    for axis in (0, 1):
        length = images.shape[1 + axis]
        pixels = tf.range(length, dtype=tf.float32)
        sources = tf.cast(pixels - shift[:, axis, tf.newaxis], tf.int32)
        within = (pixels >= corner[:, axis, tf.newaxis]) & (pixels < end[:, axis, tf.newaxis])
        within &= (sources >= 0) & (sources < length)
        moved = tf.gather(moved, tf.clip_by_value(sources, 0, length - 1), axis=1 + axis, batch_dims=1)
        mask = tf.cast(within, tf.float32)
        moved *= mask[:, :, tf.newaxis, tf.newaxis] if axis == 0 else mask[:, tf.newaxis, :, tf.newaxis]
    return moved


def _where(chosen: tf.Tensor, these: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.reshape(chosen, [-1, *[1] * (others.shape.rank - 1)]), these, others)
