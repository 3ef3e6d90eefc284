"""From the bytes of an image file to the pixels that a person sees in it."""

import io

import numpy as np
import tensorflow as tf

from ofar_tf.data.image_header import read_header
from ofar_tf.data.orientation import UPRIGHT, upright

_DEPTHS = (8, 10, 12, 14, 16)
"""Bits of the values that cameras, scanners and microscopes put into files of 16 bits."""

# A PNG begins 89 P N G, and byte 24 is the number of bits a channel.
_PNG, _BITS_AT, _HEAD = 0x89, 24, 32
# The kinds of WebP that may have an alpha channel, and which byte says so.
_WEBP_FLAGS = ((b"WEBPVP8X", 20), (b"WEBPVP8L", 24))


def decode_image_file(encoded: tf.Tensor, *, depth: int = 8) -> tf.Tensor:
    """Decodes the bytes of an image file to what a person sees: upright, and not darker than it is.

    Pipelines should find out with `read_header` which files need that, since this calls Python for every image.

    Args:
        encoded: String scalar, the whole file.
        depth: See `decode_seen`.

    Returns:
        The image, uint8 [H, W, 3]: grey is repeated, an alpha channel is dropped.
    """
    encoded = tf.convert_to_tensor(encoded)
    tag = tf.ensure_shape(tf.numpy_function(_orientation, [encoded], tf.int32, stateful=False), [])
    return decode_seen(encoded, tag=tag, depth=depth)


def decode_stored(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes the bytes of a file that is no WebP as they are stored, without a look at its tags and depth.

    Args:
        encoded: String scalar, the whole file.

    Returns:
        The image, uint8 [H, W, 3]: grey is repeated, an alpha channel is dropped, and of 16 bits the upper 8 are kept.
    """
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return image


def decode_any(encoded: tf.Tensor) -> tf.Tensor:
    """Does what `decode_stored` does for an image file of any kind; for a small image it takes half as long again."""
    image = tf.cond(
        _is_webp_with_alpha(encoded),
        lambda: tf.io.decode_image(encoded, channels=4, expand_animations=False)[..., :3],
        lambda: decode_stored(encoded),
    )
    image.set_shape([None, None, 3])
    return image


def _is_webp_with_alpha(encoded: tf.Tensor) -> tf.Tensor:
    """Of a WebP alone TensorFlow wants to be told how many channels it has; the bit stands at one of two places."""
    head = tf.io.decode_raw(encoded, tf.uint8, fixed_length=_HEAD)
    has_alpha = [
        tf.reduce_all(head[8:16] == np.frombuffer(kind, np.uint8)) & (tf.bitwise.bitwise_and(head[place], 0x10) > 0)
        for kind, place in _WEBP_FLAGS
    ]
    return tf.reduce_any(has_alpha)


def decode_seen(encoded: tf.Tensor, *, tag: tf.Tensor, depth: int) -> tf.Tensor:
    """Decodes the bytes of an image file whose orientation is known, in a traced function or outside.

    PNG files of 16 bits a channel often hold values of 10, 12 or 14 bits that nothing has scaled up (the PNG
    specification asks for that, few instruments do it), and would be nearly black. So their values are taken for the
    least of 8, 10, 12, 14 and 16 bits that holds all of them, and no less than `depth`: with the depth of the whole
    data set, a dark image stays dark beside the others.

    Args:
        encoded: String scalar, the whole file.
        tag: Its orientation tag, int32 scalar, 1 to 8.
        depth: Least number of bits that the values of a 16-bit PNG are taken for, 8 to 16.

    Returns:
        The image, uint8 [H, W, 3]; of deeper values the upper eight bits are kept.
    """
    head = tf.io.decode_raw(encoded, tf.uint8, fixed_length=_HEAD)
    image = tf.cond(
        (head[0] == _PNG) & (head[_BITS_AT] == 16),
        lambda: _upper_bits(tf.io.decode_png(encoded, channels=3, dtype=tf.uint16), depth),
        lambda: decode_any(encoded),
    )
    image = upright(image, tag)
    image.set_shape([None, None, 3])
    return image


def depth_of(encoded: bytes) -> int:
    """Returns how many bits the values of a 16-bit PNG use.

    Args:
        encoded: The whole file; 8 for one that cannot be decoded, which comes to light when the image is used.

    Returns:
        8, 10, 12, 14 or 16.
    """
    try:
        return int(_least_depth(tf.io.decode_png(encoded, dtype=tf.uint16), least=8))
    except tf.errors.InvalidArgumentError:
        return 8


def _orientation(encoded: bytes | np.ndarray) -> np.int32:
    # Called eagerly, it gets an array around the bytes.
    content = encoded if isinstance(encoded, bytes) else encoded.item()
    header = read_header(io.BytesIO(content))
    return np.int32(UPRIGHT if header is None else header.orientation)


def _upper_bits(image: tf.Tensor, depth: int) -> tf.Tensor:
    values = tf.cast(image, tf.int32)
    return tf.cast(tf.bitwise.right_shift(values, _least_depth(image, least=depth) - 8), tf.uint8)


def _least_depth(image: tf.Tensor, *, least: int) -> tf.Tensor:
    depths = tf.constant([depth for depth in _DEPTHS if depth >= least])
    greatest = tf.reduce_max(tf.cast(image, tf.int32))
    holds = tf.bitwise.left_shift(1, depths) > greatest
    return depths[tf.argmax(holds, output_type=tf.int32)]
