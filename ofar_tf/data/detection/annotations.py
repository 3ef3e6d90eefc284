"""The boxes of all images of a split, parsed once and kept as flat arrays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf

OWN_AREA = -1.0
"""Stands for the area of an object if only its box is known: that of the box."""

NO_CLASS = -1
"""The class of the rows that fill an image's boxes up to the number that all images have."""


@dataclass(frozen=True, eq=False)
class Annotations:
    """What is to be found in M images, T boxes in all, those of an image one after the other.

    Attributes:
        image_ids: int64 [M], what the annotations call each image.
        counts: int64 [M], how many boxes each image has.
        boxes: float32 [T, 4]: top, left, bottom, right, as shares of the image's height and width.
        classes: int32 [T], from 0.
        crowd: bool [T], whether a box holds a group of objects, or one that need not be found: neither finding it nor
            missing it counts.
        areas: float32 [T], the object's own area in pixels of the original image, by which COCO tells small objects
            from large ones; `OWN_AREA` where it is not known.

    Raises:
        ValueError: If the arrays do not fit each other, or a box is empty or leaves its image.
    """

    image_ids: np.ndarray
    counts: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    crowd: np.ndarray
    areas: np.ndarray

    def __post_init__(self) -> None:
        total = int(self.counts.sum())
        shapes = {each.shape for each in (self.classes, self.crowd, self.areas)}
        if self.image_ids.shape != self.counts.shape or self.boxes.shape != (total, 4) or shapes != {(total,)}:
            raise ValueError(f"Expected arrays for {len(self.counts)} images and {total} boxes. Received: {shapes}.")
        top_left, bottom_right = self.boxes[:, :2], self.boxes[:, 2:]
        if not ((top_left >= 0) & (top_left < bottom_right) & (bottom_right <= 1)).all():
            raise ValueError("Expected boxes with an area, within their images. Received: others.")

    @classmethod
    def concatenated(cls, tables: Sequence["Annotations"]) -> "Annotations":
        """Returns the annotations of several splits, one after the other."""
        names = ("image_ids", "counts", "boxes", "classes", "crowd", "areas")
        return cls(*(np.concatenate([getattr(table, name) for table in tables]) for name in names))

    @property
    def most(self) -> int:
        """The most boxes of one image, and at least 1."""
        return max(1, int(self.counts.max(initial=0)))

    @cached_property
    def starts(self) -> np.ndarray:
        """Where the boxes of each image begin, int64 [M]."""
        return np.cumsum(self.counts) - self.counts

    def rows(self, start: int, stop: int) -> "Annotations":
        """Returns the annotations of the images start to stop - 1."""
        first = int(self.counts[:start].sum())
        own = slice(first, first + int(self.counts[start:stop].sum()))
        return Annotations(
            self.image_ids[start:stop],
            self.counts[start:stop],
            self.boxes[own],
            self.classes[own],
            self.crowd[own],
            self.areas[own],
        )

    def class_counts(self, classes: int) -> np.ndarray:
        """Returns how many boxes each class has, int64 [classes]; crowds, which nothing learns, are left out."""
        return np.bincount(self.classes[~self.crowd], minlength=classes).astype(np.int64)

    def lookup(self, most: int) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
        """Returns what gives the annotations of one image, in a traced function.

        Args:
            most: N, how many boxes each image gets, at least as many as any has.

        Returns:
            A function of an image's number, int64, to `boxes` [N, 4], `classes` [N] with `NO_CLASS` where there is no
            box, `crowd` [N], `area` [N] and `image_id`, as the attributes have them.
        """
        tensors = {
            "boxes": (tf.constant(self.boxes), 0.0),
            "classes": (tf.constant(self.classes), NO_CLASS),
            "crowd": (tf.constant(self.crowd), False),
            "area": (tf.constant(self.areas), 0.0),
        }
        starts, counts, ids = (tf.constant(each) for each in (self.starts, self.counts, self.image_ids))

        def of_image(row: tf.Tensor) -> dict[str, tf.Tensor]:
            start, count = starts[row], counts[row]
            found = {"image_id": ids[row]}
            for name, (values, filling) in tensors.items():
                own = values[start : start + count]
                fill = [[0, most - tf.cast(count, tf.int32)], *[[0, 0]] * (len(own.shape) - 1)]
                found[name] = tf.ensure_shape(tf.pad(own, fill, constant_values=filling), [most, *own.shape[1:]])
            return found

        return of_image
