"""The boxes that a detector starts from: nine at each cell of each level of its pyramid."""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from ofar_tf.models.detector import ANCHORS_PER_CELL, LEVELS
from ofar_tf.text.size import Size

# Height over width, and sizes that divide the octave from level to level (RetinaNet, section 4).
_RATIOS = (0.5, 1.0, 2.0)
SCALES_PER_LEVEL = ANCHORS_PER_CELL // len(_RATIOS)


@dataclass(frozen=True)
class Anchors:
    """Nine anchors a cell, ordered by level, row, column, size and ratio, as a detector's outputs are.

    Boxes are (top, left, bottom, right) in shares of the image. Those at the border may reach beyond it.

    Attributes:
        scale: Side of the smallest square of a level, in strides of the level, positive.

    Raises:
        ValueError: If the scale is out of range.
    """

    scale: float = 4.0

    def __post_init__(self) -> None:
        if not 0.0 < self.scale < float("inf"):
            raise ValueError(f"Expected a positive anchor_scale. Received: {self.scale}.")

    def boxes(self, size: Any) -> tf.Tensor:
        """Computes the anchors of an image.

        Args:
            size: Its height and width, a `Size` or int32 `[2]`.

        Returns:
            float32 `[A, 4]`.
        """
        pixels = tf.cast(as_pixels(size), tf.float32)
        return tf.concat(
            [self._level(grid, 2.0**level, pixels) for level, grid in zip(LEVELS, grids(size), strict=True)], axis=0
        )

    def _level(self, grid: tf.Tensor, stride: float, pixels: tf.Tensor) -> tf.Tensor:
        rows, columns = ((tf.range(grid[axis], dtype=tf.float32) + 0.5) * stride for axis in (0, 1))
        centres = tf.stack(tf.meshgrid(rows, columns, indexing="ij"), axis=-1)[:, :, tf.newaxis]
        halves = tf.constant(self.sides(), tf.float32) * stride / 2.0
        boxes = tf.concat([centres - halves, centres + halves], axis=-1) / tf.tile(pixels, [2])
        return tf.reshape(boxes, [-1, 4])

    def sides(self) -> list[tuple[float, float]]:
        """Heights and widths of the anchors of a cell, in strides."""
        sizes = [self.scale * 2.0 ** (step / SCALES_PER_LEVEL) for step in range(SCALES_PER_LEVEL)]
        return [(size * ratio**0.5, size / ratio**0.5) for size in sizes for ratio in _RATIOS]


def as_pixels(size: Any) -> tf.Tensor:
    """Returns a `Size`, or int32 `[2]`, as the latter."""
    return tf.constant([size.height, size.width]) if isinstance(size, Size) else size


def grids(size: Any) -> list[tf.Tensor]:
    """Computes the rows and columns of each level, int32 `[2]` each.

    Args:
        size: Height and width of the image, a `Size` or int32 `[2]`.
    """
    pixels = as_pixels(size)
    return [-(-pixels // 2**level) for level in LEVELS]
