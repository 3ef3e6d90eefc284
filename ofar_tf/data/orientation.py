"""The orientation tag that cameras write: how an image must be turned to stand as it does on a screen."""

import tensorflow as tf

# Where the tag's block begins: in a JPEG's segment APP1, and in a PNG's chunk eXIf.
_JPEG_MARK, _PNG_MARK = b"Exif\0\0", b"eXIf"
# Cameras put the block first, and it is at most this long. So a JPEG's pixels are not searched for it.
_LONGEST_SEGMENT = 65_536
_TAG, _ENTRY_BYTES, _HEADER_BYTES = 0x0112, 12, 8


def upright(image: tf.Tensor, encoded: tf.Tensor) -> tf.Tensor:
    """Turns an image as the EXIF orientation tag of its file says, which phones write and every viewer obeys.

    All of it is TensorFlow's own operations, so it runs in parallel in an input pipeline.

    Args:
        image: The decoded image, [H, W, C].
        encoded: String scalar, the JPEG or PNG file that it was decoded from.

    Returns:
        The image as a viewer shows it, [H, W, C] or [W, H, C]; `image` itself where there is no tag, or none of 1 to 8.
    """
    tag = orientation(encoded)
    return tf.cond(tag > 1, lambda: _turned(image, tag), lambda: image)


def orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the EXIF orientation tag of a file, after TIFF 6.0 and Exif 2.3.

    Args:
        encoded: String scalar, the whole file.

    Returns:
        int32 scalar, 1 to 8; 1, upright, where the file has no such tag or a damaged one.
    """
    is_png = tf.strings.regex_full_match(tf.strings.substr(encoded, 0, 4), r"\CPNG")
    searched = tf.where(is_png, tf.strings.length(encoded), _LONGEST_SEGMENT)
    mark = tf.where(is_png, _PNG_MARK, _JPEG_MARK)
    # Not `tf.strings.split`, which wraps this operator in a dozen others.
    pieces = tf.raw_ops.StringSplitV2(input=[tf.strings.substr(encoded, 0, searched)], sep=mark, maxsplit=1).values
    one = tf.constant(1)
    return tf.cond(tf.size(pieces) > 1, lambda: _tag_of(pieces[1]), lambda: one)


def _tag_of(block: tf.Tensor) -> tf.Tensor:
    """Returns the tag in the block that begins with a TIFF header; 1 where it leads nowhere."""
    content = tf.cast(tf.io.decode_raw(tf.strings.substr(block, 0, _LONGEST_SEGMENT), tf.uint8), tf.int32)
    # Padded, so that a number can be read at every place up to the end.
    padded = tf.pad(content, [[0, _HEADER_BYTES]])
    little = padded[0] == ord("I")
    first = tf.clip_by_value(_number(padded[4:8], little), 0, tf.size(content))
    count = _number(padded[first : first + 2], little)
    entries = content[first + 2 : first + 2 + _ENTRY_BYTES * count]
    entries = tf.reshape(entries[: tf.size(entries) // _ENTRY_BYTES * _ENTRY_BYTES], [-1, _ENTRY_BYTES])
    # A short number fills the first two of the value's four bytes, whatever their order.
    values = _number(entries[:, 8:10], little)[_number(entries[:, :2], little) == _TAG]
    value = tf.concat([values, [1]], 0)[0]
    return tf.where((value >= 1) & (value <= 8), value, 1)


def _number(digits: tf.Tensor, little: tf.Tensor) -> tf.Tensor:
    """Returns the numbers whose bytes lie along the last axis, the least one first if `little`."""
    powers = 256 ** tf.range(tf.shape(digits)[-1])
    return tf.reduce_sum(digits * tf.where(little, powers, tf.reverse(powers, [0])), axis=-1)


def _turned(image: tf.Tensor, tag: tf.Tensor) -> tf.Tensor:
    turned = tf.cond(tag >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    turned = tf.cond(_is_one_of(tag, 2, 3, 6, 7), lambda: tf.reverse(turned, [1]), lambda: turned)
    return tf.cond(_is_one_of(tag, 3, 4, 7, 8), lambda: tf.reverse(turned, [0]), lambda: turned)


def _is_one_of(tag: tf.Tensor, *tags: int) -> tf.Tensor:
    return tf.reduce_any(tag == tf.constant(tags))
