"""From an image of any size to the square the network sees, in training, in evaluation and at smaller resolutions."""

import tensorflow as tf

AUGMENTATIONS = ("none", "pad_and_crop", "random_resized_crop")
_ASPECT_RATIOS = (3.0 / 4.0, 4.0 / 3.0)


def augment(
    image: tf.Tensor,
    seed: tf.Tensor,
    *,
    resolution: int,
    augmentation: str,
    flip: bool,
    padding: int = 4,
    crop_scale: tuple[float, float] = (0.25, 1.0),
) -> tf.Tensor:
    """Returns a random view of a training image; equal seeds give equal views.

    Args:
        image: uint8 [H, W, 3], any size.
        seed: int32 or int64 [2]; all that the draws depend on.
        resolution: Side R of the view, in pixels.
        augmentation: `none` is the view of evaluation. `pad_and_crop` adds `padding` black pixels on each side of that
            view and takes a random R x R window (the recipe of CIFAR networks). `random_resized_crop` stretches a
            random window of the image to R x R (Inception's, the recipe of ImageNet networks).
        flip: Whether to mirror the view, left to right, in half of the cases.
        padding: For `pad_and_crop`: pixels added on each side, at R.
        crop_scale: For `random_resized_crop`: least and greatest part of the image's area that the window covers. Its
            aspect ratio is between 3/4 and 4/3.

    Returns:
        float32 [R, R, 3] in [0, 255].

    Raises:
        ValueError: `augmentation` is none of these, or a number is out of range.
    """
    check_augmentation(augmentation, padding=padding, crop_scale=crop_scale)
    crop_seed, flip_seed = tf.unstack(tf.random.split(seed, 2))
    if augmentation == "random_resized_crop":
        view = _resize(_random_window(image, crop_seed, crop_scale), (resolution, resolution))
    else:
        view = evaluation_view(image, resolution=resolution)
    if augmentation == "pad_and_crop":
        padded = tf.pad(view, [[padding, padding], [padding, padding], [0, 0]])
        view = tf.image.stateless_random_crop(padded, [resolution, resolution, 3], crop_seed)
    if flip:
        view = tf.image.stateless_random_flip_left_right(view, flip_seed)
    return tf.ensure_shape(view, [resolution, resolution, 3])


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
        ValueError: `resolution` is less than 1 or `resize` less than `resolution`.
    """
    check_view(resolution, resize)
    resize = resize or resolution
    if image.shape[0] == image.shape[1] == resize == resolution:
        return tf.cast(image, tf.float32)
    size = tf.shape(image)[:2]
    shorter = tf.reduce_min(size)
    # In integers: scaled sides are rounded half up, and the shorter one comes out exact.
    image = _resize(image, (2 * size * resize + shorter) // (2 * shorter))
    top, left = tf.unstack((tf.shape(image)[:2] - resolution) // 2)
    view = image[top : top + resolution, left : left + resolution]
    return tf.ensure_shape(view, [resolution, resolution, 3])


def resize_batch(images: tf.Tensor, resolution: int | tf.Tensor) -> tf.Tensor:
    """Resizes a batch to a square, by the one operator of training, calibration, evaluation and export.

    Bilinear with half-pixel centres and no antialiasing: cheap in a training step, and a builtin operator in TFLite.
    (The views above are antialiased, since photographs are often many times larger than the network's input.)

    Args:
        images: float [B, H, W, C].
        resolution: Side r of the result, in pixels: an int, or an int32 scalar so that one trace serves all.

    Returns:
        The images as [B, r, r, C] of the same dtype; `images` itself where r is an int and they have that size already.
    """
    if isinstance(resolution, int) and images.shape[1] == images.shape[2] == resolution:
        return images
    size = tf.stack([resolution, resolution])
    return tf.cast(tf.image.resize(images, size, method="bilinear", antialias=False), images.dtype)


def check_augmentation(augmentation: str, *, padding: int = 4, crop_scale: tuple[float, float] = (0.25, 1.0)) -> None:
    """Raises the ValueError of `augment`, outside of a traced function and so on one line."""
    if augmentation not in AUGMENTATIONS:
        raise ValueError(
            f"Expected an augmentation out of {', '.join(AUGMENTATIONS)}. Received: augmentation={augmentation!r}."
        )
    if padding < 0:
        raise ValueError(f"Expected a padding of 0 or more pixels. Received: padding={padding}.")
    if not 0.0 < crop_scale[0] <= crop_scale[1] <= 1.0:
        raise ValueError(
            f"Expected crop_scale as (least, greatest) parts of the area in (0, 1]. Received: crop_scale={crop_scale}."
        )


def check_view(resolution: int, resize: int | None = None) -> None:
    """Raises the ValueError of `evaluation_view`, outside of a traced function and so on one line."""
    if resolution < 1:
        raise ValueError(f"Expected a resolution of at least 1 pixel. Received: resolution={resolution}.")
    if resize is not None and resize < resolution:
        raise ValueError(
            f"Expected a resize of at least the resolution, {resolution} pixels. Received: resize={resize}."
        )


def _random_window(image: tf.Tensor, seed: tf.Tensor, crop_scale: tuple[float, float]) -> tf.Tensor:
    # Where 100 tries find no window of the drawn shape inside the image, the operator gives the whole image.
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.shape(image),
        bounding_boxes=tf.zeros([1, 0, 4]),
        seed=seed,
        min_object_covered=0.0,
        aspect_ratio_range=_ASPECT_RATIOS,
        area_range=crop_scale,
        use_image_if_no_bounding_boxes=True,
    )
    return tf.slice(image, begin, size)


def _resize(image: tf.Tensor, size: tf.Tensor | tuple[int, int]) -> tf.Tensor:
    return tf.image.resize(image, size, method="bilinear", antialias=True)
