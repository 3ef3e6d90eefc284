"""From an image of any size to the canvas that the network sees: its aspect kept, at the top left, black beside it."""

import tensorflow as tf

from ofar_tf.data.preprocessing import stretch
from ofar_tf.text.size import Size


def on_canvas(image: tf.Tensor, size: Size) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns an image as large as it fits on a canvas.

    Args:
        image: uint8 or float [h, w, 3], any size.
        size: Height H and width W of the canvas, in pixels.

    Returns:
        The canvas, float32 [H, W, 3] in the image's range; and the shares of its height and width that the image
        covers, float32 [2].
    """
    if image.shape[:2] == (size.height, size.width):
        return tf.cast(image, tf.float32), tf.ones([2])
    fitted = _fitted(tf.shape(image)[:2], size)
    sides = tf.maximum(fitted, 1)
    canvas = tf.image.pad_to_bounding_box(stretch(image, sides), 0, 0, size.height, size.width)
    return tf.ensure_shape(canvas, [size.height, size.width, 3]), tf.cast(sides, tf.float32) / _sides(size)


def _fitted(sides: tf.Tensor, size: Size) -> tf.Tensor:
    """Returns the sides of an image that touches the canvas' right or lower edge, rounded half up, int32 [2]."""
    # In 64 bits: a side of a photograph times one of the canvas, twice.
    height, width = tf.unstack(tf.cast(sides, tf.int64))
    by_height = tf.stack([size.height, (2 * width * size.height + height) // (2 * height)])
    by_width = tf.stack([(2 * height * size.width + width) // (2 * width), size.width])
    return tf.cast(tf.where(height * size.width >= width * size.height, by_height, by_width), tf.int32)


def _sides(size: Size) -> tf.Tensor:
    return tf.constant([size.height, size.width], tf.float32)
