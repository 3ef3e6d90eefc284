"""Random views of training images: crops, flips and variations of colour and shape."""

from dataclasses import dataclass

import tensorflow as tf

from ofar_tf.data.color import color_jitter
from ofar_tf.data.preprocessing import evaluation_view, stretch
from ofar_tf.data.rand_augment import rand_augment

AUGMENTATIONS = ("none", "pad_and_crop", "random_resized_crop")
_ASPECT_RATIOS = (3.0 / 4.0, 4.0 / 3.0)
# What is folded into an image's seed for draws of a kind, so that none depends on which others are made.
_JITTER_DRAWS, _RAND_AUGMENT_DRAWS = 0, 1


@dataclass(frozen=True)
class Augmentation:
    """How one training image is varied, in this order: crop, flip, colour jitter, RandAugment.

    All draws are pure functions of an image's seed. (Keras' own layers are not: they draw from a generator that each of
    them owns and advances, so what an image gets depends on the order in which parallel workers come by.)

    Attributes:
        kind: `none` is the view of evaluation. `pad_and_crop` adds `padding` black pixels on each side of that view and
            takes a random R x R window (the recipe of CIFAR networks). `random_resized_crop` stretches a random window
            of the image to R x R (Inception's, the recipe of ImageNet networks).
        flip: Whether to mirror the view, left to right, in half of the cases.
        padding: For `pad_and_crop`: pixels added on each side, at R.
        crop_scale: For `random_resized_crop`: least and greatest part of the image's area that the window covers. Its
            aspect ratio is between 3/4 and 4/3.
        color_jitter: Strength of the variation of colours, 0 (none) to 1; see `color_jitter`.
        rand_augment_layers: Number of RandAugment's operations on each image; 0 for none.
        rand_augment_magnitude: Strength of these operations, 0 to 10; see `rand_augment`.

    Raises:
        ValueError: The kind is none of these, or a number is out of range.
    """

    kind: str
    flip: bool = False
    padding: int = 4
    crop_scale: tuple[float, float] = (0.25, 1.0)
    color_jitter: float = 0.0
    rand_augment_layers: int = 0
    rand_augment_magnitude: float = 9.0

    def __post_init__(self) -> None:
        if self.kind not in AUGMENTATIONS:
            raise ValueError(
                f"Expected an augmentation out of {', '.join(AUGMENTATIONS)}. Received: augmentation={self.kind!r}."
            )
        if self.padding < 0:
            raise ValueError(f"Expected a padding of 0 or more pixels. Received: padding={self.padding}.")
        if not 0.0 < self.crop_scale[0] <= self.crop_scale[1] <= 1.0:
            raise ValueError(
                "Expected crop_scale as (least, greatest) parts of the area in (0, 1]. "
                f"Received: crop_scale={self.crop_scale}."
            )
        _check_range("color_jitter", self.color_jitter, greatest=1.0)
        _check_range("rand_augment_layers", self.rand_augment_layers)
        _check_range("rand_augment_magnitude", self.rand_augment_magnitude, greatest=10.0)

    def view(self, image: tf.Tensor, seed: tf.Tensor, *, resolution: int) -> tf.Tensor:
        """Returns a random view of an image; equal seeds give equal views.

        Args:
            image: uint8 [H, W, 3], any size.
            seed: int32 or int64 [2]; all that the draws depend on.
            resolution: Side R of the view, in pixels.

        Returns:
            float32 [R, R, 3] in [0, 255].
        """
        crop_seed, flip_seed = tf.unstack(tf.random.split(seed, 2))
        view = self._crop(image, crop_seed, resolution)
        if self.flip:
            view = tf.image.stateless_random_flip_left_right(view, flip_seed)
        if self.color_jitter > 0.0:
            view = color_jitter(view, tf.random.fold_in(seed, _JITTER_DRAWS), strength=self.color_jitter)
        view = rand_augment(
            view,
            tf.random.fold_in(seed, _RAND_AUGMENT_DRAWS),
            layers=self.rand_augment_layers,
            magnitude=self.rand_augment_magnitude,
        )
        return tf.ensure_shape(view, [resolution, resolution, 3])

    def _crop(self, image: tf.Tensor, seed: tf.Tensor, resolution: int) -> tf.Tensor:
        if self.kind == "random_resized_crop":
            begin, size = random_window(tf.shape(image), seed, self.crop_scale)
            return stretch(tf.slice(image, begin, size), (resolution, resolution))
        view = evaluation_view(image, resolution=resolution)
        if self.kind == "none":
            return view
        padded = tf.pad(view, [[self.padding, self.padding], [self.padding, self.padding], [0, 0]])
        return tf.image.stateless_random_crop(padded, [resolution, resolution, 3], seed)


def random_window(shape: tf.Tensor, seed: tf.Tensor, crop_scale: tuple[float, float]) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns where a random resized crop begins and what it covers.

    Args:
        shape: The image's shape (H, W, 3), int32 [3].
        seed: int32 or int64 [2]; all that the draws depend on.
        crop_scale: Least and greatest part of the area.

    Returns:
        The window's corner and its shape, both int32 [3], for `tf.slice`.
    """
    # Where 100 tries find no window of the drawn shape inside the image, the operator gives the whole image.
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        shape,
        bounding_boxes=tf.zeros([1, 0, 4]),
        seed=seed,
        min_object_covered=0.0,
        aspect_ratio_range=_ASPECT_RATIOS,
        area_range=crop_scale,
        use_image_if_no_bounding_boxes=True,
    )
    return begin, size


def _check_range(name: str, value: float, *, greatest: float | None = None) -> None:
    if not 0.0 <= value <= (float("inf") if greatest is None else greatest):
        bounds = "of 0 or more" if greatest is None else f"from 0 to {greatest:g}"
        raise ValueError(f"Expected {name} {bounds}. Received: {name}={value}.")
