"""From an image of any size to the square the network sees, in training, in evaluation and at smaller resolutions."""

import tensorflow as tf

from ofar_tf.text.size import LARGEST_SIDE, Size


def evaluation_view(image: tf.Tensor, *, resolution: int, resize: int | None = None) -> tf.Tensor:
    """Returns the central square of an image.

    Args:
        image: uint8 or float [H, W, 3], any size.
        resolution: Side R of the view, in pixels.
        resize: The image is first resized (bilinear, antialiased) so that its shorter side has this many pixels, at
            least R; None for R itself. ImageNet's custom is 256 for R = 224.

    Returns:
        float32 [R, R, 3] in the image's range.

    Raises:
        ValueError: `resolution` is less than 1 or more than `LARGEST_SIDE`, or `resize` less than `resolution`.
    """
    check_view(resolution, resize)
    resize = resize or resolution
    if image.shape[0] == image.shape[1] == resize == resolution:
        return tf.cast(image, tf.float32)
    size = tf.shape(image)[:2]
    shorter = tf.reduce_min(size)
    # In integers: scaled sides are rounded half up, and the shorter one comes out exact.
    image = stretch(image, (2 * size * resize + shorter) // (2 * shorter))
    top, left = tf.unstack((tf.shape(image)[:2] - resolution) // 2)
    view = image[top : top + resolution, left : left + resolution]
    return tf.ensure_shape(view, [resolution, resolution, 3])


def resize_batch(images: tf.Tensor, size: int | Size | tf.Tensor) -> tf.Tensor:
    """Resizes a batch, by the one operator of training, calibration, evaluation and export.

    Bilinear with half-pixel centres and no antialiasing: cheap in a training step, and a builtin operator in TFLite.
    (The views above are antialiased, since photographs are often many times larger than the network's input.)

    Args:
        images: float [B, H, W, C].
        size: Height h and width w of the result, in pixels: a number for a square, or int32 `[2]` so that one trace
            serves all.

    Returns:
        The images as [B, h, w, C] of the same dtype; `images` itself where the size is no tensor and theirs already.
    """
    if isinstance(size, (int, Size)):
        known = Size.of(size)
        if tuple(images.shape[1:3]) == (known.height, known.width):
            return images
        size = tf.constant([known.height, known.width])
    return tf.cast(tf.image.resize(images, size, method="bilinear", antialias=False), images.dtype)


def stretch(image: tf.Tensor, size: tf.Tensor | tuple[int, int]) -> tf.Tensor:
    """Resizes one image to any height and width, bilinearly and antialiased.

    The pixels are those of `tf.image.resize`, to the bit, in about half the time: its operator runs along an image's
    channels when it works on columns, and three are few for a processor. So here rows are resized with all columns as
    channels, and then columns with all rows.

    Args:
        image: uint8 or float [H, W, 3].
        size: Height h and width w of the result, in pixels, int32.

    Returns:
        float32 [h, w, 3] in the image's range.
    """
    height, width = tf.unstack(tf.shape(image)[:2])
    rows, columns = tf.unstack(tf.convert_to_tensor(size))
    shorter = _resize_rows(tf.reshape(image, [height, width * 3]), rows)
    turned = tf.transpose(tf.reshape(shorter, [rows, width, 3]), [1, 0, 2])
    resized = _resize_rows(tf.reshape(turned, [width, rows * 3]), columns)
    return tf.transpose(tf.reshape(resized, [columns, rows, 3]), [1, 0, 2])


def check_view(resolution: int, resize: int | None = None) -> None:
    """Raises the ValueError of `evaluation_view`, outside of a traced function and so on one line."""
    if resolution < 1:
        raise ValueError(f"Expected a resolution of at least 1 pixel. Received: resolution={resolution}.")
    if resolution > LARGEST_SIDE:
        raise ValueError(f"Expected a resolution of at most {LARGEST_SIDE} pixels. Received: resolution={resolution}.")
    if resize is not None and resize < resolution:
        raise ValueError(
            f"Expected a resize of at least the resolution, {resolution} pixels. Received: resize={resize}."
        )


def _resize_rows(table: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Returns [N, C] as float32 [count, C]."""
    image = table[tf.newaxis, :, tf.newaxis, :]
    return tf.cast(tf.image.resize(image, tf.stack([count, 1]), antialias=True), tf.float32)[0, :, 0, :]
