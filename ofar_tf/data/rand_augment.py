"""RandAugment: a few operations on each image, drawn from fourteen, all of the same strength."""

import math
from collections.abc import Callable

import tensorflow as tf

from ofar_tf.data.color import WHITE, blend, brightness, contrast, saturation

_GREATEST_MAGNITUDE = 10.0
_FILL = 128.0  # The grey of pixels that come from outside of the image.
_SMOOTH = ((1.0, 1.0, 1.0), (1.0, 5.0, 1.0), (1.0, 1.0, 1.0))


def rand_augment(image: tf.Tensor, seed: tf.Tensor, *, layers: int, magnitude: float) -> tf.Tensor:
    """Applies random operations, one after the other.

    Cubuk et al. 2020, *RandAugment*, with its fourteen operations, each as likely in each layer. Where the paper leaves
    ranges open they are such that magnitude 0 changes nothing (except `auto_contrast` and `equalize`, which have no
    strength): factors of colour reach 1 +- 0.9, rotations 30 degrees, shears 0.3, shifts 0.45 of the side, posterize
    keeps 4 bits and solarize inverts everything. Directions are drawn evenly.

    Args:
        image: float32 [H, W, 3] in [0, 255].
        seed: int32 or int64 [2]; all that the draws depend on.
        layers: Number of operations, at least 0; 2 is usual.
        magnitude: Strength of every operation, 0 to 10; 9 is usual.

    Returns:
        float32 [H, W, 3] in [0, 255].
    """
    for layer in range(layers):
        index_seed, sign_seed = tf.unstack(tf.random.split(tf.random.fold_in(seed, layer), 2))
        index = tf.random.stateless_uniform([], index_seed, maxval=len(OPERATIONS), dtype=tf.int32)
        sign = tf.where(tf.random.stateless_uniform([], sign_seed) < 0.5, -1.0, 1.0)
        # Only the branch that was drawn is computed; Keras' own layer computes all of them and picks one.
        image = tf.switch_case(index, _branches(image, sign * magnitude / _GREATEST_MAGNITUDE))
    return image


def _branches(image: tf.Tensor, level: tf.Tensor) -> list[Callable[[], tf.Tensor]]:
    def branch(operation: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> Callable[[], tf.Tensor]:
        return lambda: operation(image, level)

    return [branch(operation) for operation in OPERATIONS.values()]


def auto_contrast(image: tf.Tensor) -> tf.Tensor:
    """Stretches each channel to the whole range [0, 255]; a channel of one value is left as it is."""
    low, high = tf.reduce_min(image, axis=[0, 1]), tf.reduce_max(image, axis=[0, 1])
    flat = high <= low
    scale = tf.where(flat, 1.0, WHITE / tf.where(flat, 1.0, high - low))
    return tf.clip_by_value((image - tf.where(flat, 0.0, low)) * scale, 0.0, WHITE)


def equalize(image: tf.Tensor) -> tf.Tensor:
    """Spreads the values of each channel so that all are about as frequent; pixels are rounded to whole numbers."""
    values = tf.cast(tf.round(image), tf.int32)
    places = values + 256 * tf.range(3)
    counts = tf.reshape(tf.math.bincount(tf.reshape(places, [-1]), minlength=768, maxlength=768), [3, 256])
    brightest = tf.gather(counts, tf.reduce_max(values, axis=[0, 1]), batch_dims=1)
    step = (tf.reduce_sum(counts, axis=1) - brightest) // 255
    below = tf.cumsum(counts, axis=1, exclusive=True)
    table = tf.minimum((below + step[:, None] // 2) // tf.maximum(step[:, None], 1), 255)
    # Images of a few pixels, or of one value, have no step: they stay as they are.
    table = tf.where(step[:, None] > 0, table, tf.range(256))
    return tf.cast(tf.gather(tf.reshape(table, [-1]), places), tf.float32)


def solarize(image: tf.Tensor, threshold: tf.Tensor | float) -> tf.Tensor:
    """Inverts the pixels of at least a threshold in [0, 256]."""
    return tf.where(image < threshold, image, WHITE - image)


def posterize(image: tf.Tensor, bits: tf.Tensor | int) -> tf.Tensor:
    """Keeps the highest bits, 1 to 8, of each pixel's whole part."""
    step = 2.0 ** (8.0 - tf.cast(bits, tf.float32))
    return step * tf.floor(image / step)


def sharpness(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Returns an image between its smoothed self (factor 0), itself (1) and beyond; float32 in [0, 255]."""
    kernel = tf.constant(_SMOOTH)[:, :, None, None] / 13.0
    padded = tf.pad(image, [[1, 1], [1, 1], [0, 0]], "SYMMETRIC")[None]
    smooth = tf.nn.depthwise_conv2d(padded, tf.tile(kernel, [1, 1, 3, 1]), [1, 1, 1, 1], "VALID")[0]
    return blend(image, smooth, factor)


def rotate(image: tf.Tensor, degrees: tf.Tensor | float) -> tf.Tensor:
    """Turns an image counter-clockwise around its centre; what comes from outside is grey."""
    angle = tf.cast(degrees, tf.float32) * (math.pi / 180.0)
    return _warp(image, ((tf.cos(angle), -tf.sin(angle)), (tf.sin(angle), tf.cos(angle))))


def shear(image: tf.Tensor, *, x: tf.Tensor | float = 0.0, y: tf.Tensor | float = 0.0) -> tf.Tensor:
    """Moves each row sideways by x times its distance from the centre, or each column up and down by y times."""
    return _warp(image, ((1.0, x), (y, 1.0)))


def translate(image: tf.Tensor, *, x: tf.Tensor | float = 0.0, y: tf.Tensor | float = 0.0) -> tf.Tensor:
    """Moves an image to the left and up, by parts of its width and height; what comes from outside is grey."""
    height, width = _sides(image)
    return _warp(image, ((1.0, 0.0), (0.0, 1.0)), shift=(x * width, y * height))


def _warp(
    image: tf.Tensor,
    matrix: tuple[tuple[tf.Tensor | float, tf.Tensor | float], tuple[tf.Tensor | float, tf.Tensor | float]],
    *,
    shift: tuple[tf.Tensor | float, tf.Tensor | float] = (0.0, 0.0),
) -> tf.Tensor:
    """Returns the image whose pixel at (x, y) from the centre is read at matrix (x, y) + shift, bilinearly."""
    height, width = _sides(image)
    x, y = (width - 1.0) / 2.0, (height - 1.0) / 2.0
    (a, b), (c, d) = matrix
    offset_x, offset_y = x - a * x - b * y + shift[0], y - c * x - d * y + shift[1]
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=tf.cast(tf.stack([a, b, offset_x, c, d, offset_y, 0.0, 0.0])[None], tf.float32),
        output_shape=tf.shape(image)[:2],
        fill_value=_FILL,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )[0]
    return tf.ensure_shape(warped, image.shape)


def _sides(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    height, width = tf.unstack(tf.cast(tf.shape(image)[:2], tf.float32))
    return height, width


# Each takes an image and a level in [-1, 1]; those without a direction look at its size only.
OPERATIONS: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "identity": lambda image, level: tf.identity(image),
    "auto_contrast": lambda image, level: auto_contrast(image),
    "equalize": lambda image, level: equalize(image),
    "solarize": lambda image, level: solarize(image, 256.0 * (1.0 - tf.abs(level))),
    "posterize": lambda image, level: posterize(image, 8.0 - tf.round(4.0 * tf.abs(level))),
    "brightness": lambda image, level: brightness(image, 1.0 + 0.9 * level),
    "contrast": lambda image, level: contrast(image, 1.0 + 0.9 * level),
    "color": lambda image, level: saturation(image, 1.0 + 0.9 * level),
    "sharpness": lambda image, level: sharpness(image, 1.0 + 0.9 * level),
    "rotate": lambda image, level: rotate(image, 30.0 * level),
    "shear_x": lambda image, level: shear(image, x=0.3 * level),
    "shear_y": lambda image, level: shear(image, y=0.3 * level),
    "translate_x": lambda image, level: translate(image, x=0.45 * level),
    "translate_y": lambda image, level: translate(image, y=0.45 * level),
}
