"""Colours of an image: brightness, contrast, saturation and hue, and their random variation."""

import tensorflow as tf

WHITE = 255.0
# The hue's share of the strength, as in SimCLR (Chen et al. 2020, appendix A): 0.4 turns hues by up to a tenth.
_HUE_SHARE = 0.25
# What red, green and blue add to a grey, as in JPEG (ITU-R BT.601). TensorFlow's own weights sum to 0.9999.
LUMA = (0.299, 0.587, 0.114)


def as_rgb(images: tf.Tensor) -> tf.Tensor:
    """Returns gray images [B, H, W] or [B, H, W, 1] as RGB, the gray three times, and RGB images as they are."""
    images = images[..., tf.newaxis] if len(images.shape) == 3 else images
    return tf.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images


def color_jitter(image: tf.Tensor, seed: tf.Tensor, *, strength: float) -> tf.Tensor:
    """Varies brightness, contrast, saturation and hue at random, in this order.

    The first three are multiplied by factors between 1 - strength and 1 + strength, the hue is turned by up to a
    quarter of the strength (1 is the whole circle). Others shuffle the order for each image, which costs a graph of all
    24 orders and changes little: the operations nearly commute.

    Args:
        image: float32 [H, W, 3] in [0, 255].
        seed: int32 or int64 [2]; all that the draws depend on.
        strength: From 0, which changes nothing, to 1. 0.4 is usual for ImageNet.

    Returns:
        float32 [H, W, 3] in [0, 255].
    """
    draws = strength * tf.random.stateless_uniform([4], seed, -1.0, 1.0)
    image = brightness(image, 1.0 + draws[0])
    image = contrast(image, 1.0 + draws[1])
    image = saturation(image, 1.0 + draws[2])
    return hue(image, _HUE_SHARE * draws[3])


def brightness(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Returns an image between black (factor 0), itself (1) and beyond; float32 in [0, 255]."""
    return blend(image, 0.0, factor)


def contrast(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Returns an image between the grey of its mean (factor 0), itself (1) and beyond; float32 in [0, 255]."""
    return blend(image, tf.tensordot(tf.reduce_mean(image, axis=[0, 1]), LUMA, 1), factor)


def saturation(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Returns an image between its greys (factor 0), itself (1) and beyond; float32 in [0, 255]."""
    # As a product of matrices, all three channels of the grey at once: several times faster than a sum over channels.
    grey = tf.tensordot(image, tf.tile(tf.constant(LUMA)[:, tf.newaxis], [1, 3]), 1)
    return blend(image, grey, factor)


def hue(image: tf.Tensor, turn: tf.Tensor | float) -> tf.Tensor:
    """Returns an image whose hues are turned on the colour circle by `turn` in [-1, 1]; float32 in [0, 255]."""
    # The operator's way through hue and back may leave the range by rounding.
    return tf.clip_by_value(tf.image.adjust_hue(image, turn), 0.0, WHITE)


def blend(image: tf.Tensor, other: tf.Tensor | float, factor: tf.Tensor | float) -> tf.Tensor:
    """Returns a point on the line from `other` (factor 0) through `image` (1), cut to [0, 255].

    Args:
        image: float32 [H, W, 3].
        other: float32 that broadcasts to the image's shape.
        factor: float32 scalar, at least 0; above 1 it leads away from `other`.

    Returns:
        float32 [H, W, 3] in [0, 255]; the image itself, to the bit, for a factor of 1.
    """
    return tf.clip_by_value(factor * image + (1.0 - factor) * other, 0.0, WHITE)
