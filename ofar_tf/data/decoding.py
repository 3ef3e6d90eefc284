"""From the bytes of an image file to the pixels that a person sees in it."""

import tensorflow as tf

from ofar_tf.data.orientation import upright

_DEPTHS = (8, 10, 12, 14, 16)
"""Bits of the values that cameras, scanners and microscopes put into files of 16 bits."""

# A PNG whose header says 16 bits a channel. `\\C` is any byte.
_IS_DEEP = r"\CPNG\r\n\x1a\n\C{16}\x10\C*"


def decode_image_file(encoded: tf.Tensor, *, depth: int = 8) -> tf.Tensor:
    """Decodes the bytes of a JPEG or PNG file.

    An image stands as its EXIF orientation says. PNG files of 16 bits a channel often hold values of 10, 12 or 14 bits
    that nothing has scaled up (the PNG specification asks for that, few instruments do it), and would be nearly black.
    So their values are taken for the least of 8, 10, 12, 14 and 16 bits that holds all of them, and no less than
    `depth`: with the depth of the whole data set, a dark image stays dark beside the others.

    Args:
        encoded: String scalar, the whole file.
        depth: Least number of bits that the values of a 16-bit PNG are taken for, 8 to 16.

    Returns:
        The image, uint8 [H, W, 3]: grey is repeated, an alpha channel is dropped, and of deeper values the upper eight
        bits are kept.
    """
    encoded = tf.convert_to_tensor(encoded)
    image = tf.cond(
        tf.strings.regex_full_match(tf.strings.substr(encoded, 0, 32), _IS_DEEP),
        lambda: _upper_bits(tf.io.decode_png(encoded, channels=3, dtype=tf.uint16), depth),
        lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )
    image = upright(image, encoded)
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


def _upper_bits(image: tf.Tensor, depth: int) -> tf.Tensor:
    values = tf.cast(image, tf.int32)
    return tf.cast(tf.bitwise.right_shift(values, _least_depth(image, least=depth) - 8), tf.uint8)


def _least_depth(image: tf.Tensor, *, least: int) -> tf.Tensor:
    depths = tf.constant([depth for depth in _DEPTHS if depth >= least])
    greatest = tf.reduce_max(tf.cast(image, tf.int32))
    holds = tf.bitwise.left_shift(1, depths) > greatest
    return depths[tf.argmax(holds, output_type=tf.int32)]
