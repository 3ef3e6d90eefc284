"""The orientation tag that cameras write: how an image must be turned to stand as it does on a screen."""

import struct

import numpy as np
import tensorflow as tf

UPRIGHT = 1
"""The tag of an image that stands as it is stored."""

_TAG, _ENTRY_BYTES = 0x0112, 12
# By the tag: whether rows become columns first, and then which of rows and columns are read backwards (Exif 2.3).
_TRANSPOSED = (False, False, False, False, False, True, True, True, True)
_REVERSED = ((0, 0), (0, 0), (0, 1), (1, 1), (1, 0), (0, 0), (0, 1), (1, 1), (1, 0))


def orientation_of(block: bytes) -> int:
    """Returns the orientation in a block of EXIF tags, after TIFF 6.0 and Exif 2.3.

    Args:
        block: The block from its TIFF header on; what follows it does no harm.

    Returns:
        1 to 8; 1, upright, where there is no such tag or the block is damaged.
    """
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return UPRIGHT
    try:
        (first,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, first)
        for place in range(first + 2, first + 2 + _ENTRY_BYTES * count, _ENTRY_BYTES):
            # A short number fills the first two of the value's four bytes, whatever their order.
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", block, place)
            if tag == _TAG:
                return value if 1 <= value <= 8 else UPRIGHT
    except struct.error:
        pass
    return UPRIGHT


def upright(image: tf.Tensor, tag: tf.Tensor) -> tf.Tensor:
    """Turns an image as its orientation tag says, which phones write and every viewer obeys.

    Args:
        image: The image as it is stored, [H, W, C].
        tag: int32 scalar, 1 to 8.

    Returns:
        The image as a viewer shows it, [H, W, C] or [W, H, C]; one that is upright is not copied.
    """
    return tf.cond(tag == UPRIGHT, lambda: image, lambda: _turned(image, tag))


def _turned(image: tf.Tensor, tag: tf.Tensor) -> tf.Tensor:
    orders = tf.constant([(1, 0, 2) if transposed else (0, 1, 2) for transposed in _TRANSPOSED])
    backwards = tf.constant([(bool(rows), bool(columns), False) for rows, columns in _REVERSED])
    return tf.raw_ops.Reverse(tensor=tf.transpose(image, orders[tag]), dims=backwards[tag])


def upright_boxes(boxes: np.ndarray, tag: int) -> np.ndarray:
    """Turns boxes on an image as `upright` turns the image.

    Args:
        boxes: float [N, 4]: top, left, bottom, right, as shares of the height and width of the image as it is stored.
        tag: Its orientation tag, 1 to 8.

    Returns:
        The boxes as shares of the upright image, [N, 4] of the same dtype.
    """
    corners = boxes.reshape(-1, 2, 2)
    if _TRANSPOSED[tag]:
        corners = corners[:, :, ::-1]
    for axis, backwards in enumerate(_REVERSED[tag]):
        if backwards:
            corners = corners.copy()
            corners[:, :, axis] = 1 - corners[:, ::-1, axis]
    return corners.reshape(-1, 4)
