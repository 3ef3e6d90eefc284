"""Random views of images with boxes: mirrored, larger and smaller, in other colours, four in one."""

from dataclasses import dataclass

import tensorflow as tf

from ofar_tf.data.color import color_jitter
from ofar_tf.data.detection.mosaic import mosaic
from ofar_tf.data.detection.visible import Labels, cut_to, moved_to_the_front
from ofar_tf.data.preprocessing import stretch
from ofar_tf.text.size import Size

# What is folded into an image's seed for draws of a kind, so that none depends on which others are made.
_JITTER_DRAWS, _MOSAIC_DRAWS = 0, 1


@dataclass(frozen=True)
class BoxAugmentation:
    """How training images and their boxes are varied, in this order: size and crop, mirroring, colours, mosaic.

    All draws are pure functions of an image's seed. Of a box that a crop cuts, what is left is kept if it is at least a
    quarter of it.

    Attributes:
        flip: Whether to mirror images, left to right, in half of the cases.
        scale_jitter: Least and greatest factor on the size at which an image fits the canvas, drawn evenly in
            logarithms. What is larger than the canvas is cropped at a random place; what is smaller leaves more of it
            black.
        color_jitter: Strength of the variation of colours, 0 (none) to 1; see `ofar_tf.data.color.color_jitter`.
        mosaic: Share of the images that are put together of four of their batch, in [0, 1].

    Raises:
        ValueError: A number is out of range.
    """

    flip: bool = False
    scale_jitter: tuple[float, ...] = (1.0, 1.0)
    color_jitter: float = 0.0
    mosaic: float = 0.0

    def __post_init__(self) -> None:
        if len(self.scale_jitter) != 2 or not 0.1 <= self.scale_jitter[0] <= self.scale_jitter[1] <= 10.0:
            raise ValueError(
                "Expected scale_jitter as (least, greatest) factors in [0.1, 10]. "
                f"Received: scale_jitter={self.scale_jitter}."
            )
        for name in ("color_jitter", "mosaic"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"Expected {name} from 0 to 1. Received: {name}={getattr(self, name)}.")

    def view(self, image: tf.Tensor, labels: Labels, seed: tf.Tensor, *, size: Size) -> tuple[tf.Tensor, Labels]:
        """Returns a random view of an image on the canvas; equal seeds give equal views.

        Args:
            image: uint8 [h, w, 3], any size.
            labels: `boxes` float32 [N, 4] as shares of the image, `classes` int32 [N], `crowd` bool [N], and more.
            seed: int32 or int64 [2]; all that the draws depend on.
            size: Height H and width W of the canvas, in pixels.

        Returns:
            The canvas, float32 [H, W, 3] in [0, 255]; and the labels with `boxes` as shares of the canvas and with its
            `content`.
        """
        scale_seed, place_seed, flip_seed = tf.unstack(tf.random.split(seed, 3))
        sides = tf.shape(image)[:2]
        corner, window, shown = self._window(sides, scale_seed, place_seed, size)
        view = stretch(tf.slice(image, tf.pad(corner, [[0, 1]]), tf.pad(window, [[0, 1]], constant_values=3)), shown)
        boxes = _relative(labels["boxes"] * _twice(sides), corner, window)
        if self.flip:
            mirrored = tf.random.stateless_uniform([], flip_seed) < 0.5
            view = tf.cond(mirrored, lambda: tf.reverse(view, [1]), lambda: view)
            boxes = tf.where(mirrored, _mirrored(boxes), boxes)
        if self.color_jitter > 0.0:
            view = color_jitter(view, tf.random.fold_in(seed, _JITTER_DRAWS), strength=self.color_jitter)
        content = tf.cast(shown, tf.float32) / tf.cast([size.height, size.width], tf.float32)
        canvas = tf.image.pad_to_bounding_box(view, 0, 0, size.height, size.width)
        cut = cut_to({**labels, "boxes": boxes}, tf.constant([0.0, 0.0, 1.0, 1.0]), least=1.0 / _twice(shown))
        cut = moved_to_the_front({**cut, "boxes": cut["boxes"] * tf.tile(content, [2]), "content": content})
        return tf.ensure_shape(canvas, [size.height, size.width, 3]), cut

    def _window(
        self, sides: tf.Tensor, scale_seed: tf.Tensor, place_seed: tf.Tensor, size: Size
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns which window of an image is seen, its corner and its sides, and how large, all int32 [2]."""
        canvas, exact = tf.constant([size.height, size.width], tf.float32), tf.cast(sides, tf.float32)
        least, greatest = self.scale_jitter
        draw = tf.random.stateless_uniform([], scale_seed)
        factor = least * (greatest / least) ** draw * tf.reduce_min(canvas / exact)
        window = tf.minimum(exact, tf.maximum(tf.round(canvas / factor), 1.0))
        corner = tf.floor(tf.random.stateless_uniform([2], place_seed) * (exact - window + 1.0))
        shown = tf.clip_by_value(tf.floor(window * factor + 0.5), 1.0, canvas)
        corner = tf.minimum(corner, exact - window)
        return tf.cast(corner, tf.int32), tf.cast(window, tf.int32), tf.cast(shown, tf.int32)

    def mixed(self, images: tf.Tensor, labels: Labels, seeds: tf.Tensor) -> tuple[tf.Tensor, Labels]:
        """Puts views of a batch together, four by four, where it is asked for.

        Args:
            images: float32 [B, H, W, 3].
            labels: What `view` returned, stacked.
            seeds: int64 [B, 2], those of the images.

        Returns:
            The same for the batch's images as they are trained on.
        """
        if not self.mosaic:
            return images, labels
        return mosaic(images, labels, tf.random.fold_in(seeds[0], _MOSAIC_DRAWS), share=self.mosaic)


def _twice(sides: tf.Tensor) -> tf.Tensor:
    return tf.tile(tf.cast(sides, tf.float32), [2])


def _relative(boxes: tf.Tensor, corner: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    return (boxes - _twice(corner)) / _twice(window)


def _mirrored(boxes: tf.Tensor) -> tf.Tensor:
    top, left, bottom, right = tf.unstack(boxes, axis=-1)
    return tf.stack([top, 1.0 - right, bottom, 1.0 - left], axis=-1)
