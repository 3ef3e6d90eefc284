"""What a set of images with boxes is to the rest of the program: an image set whose labels are rows of a table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np

from ofar_tf.data.detection.annotations import Annotations
from ofar_tf.data.image_dataset import ImageDataset
from ofar_tf.text.size import Size


@dataclass(frozen=True)
class DetectionDataset(ImageDataset):
    """RGB images in named splits with the boxes of what they show.

    All that an `ImageDataset` is. The label of an example is no class, but the image's number among those of all stored
    splits, one split after the other (`first_rows`); `known` has what is known of the image of that number.

    Attributes:
        annotations: Called with the name of a stored split; returns the annotations of its images, in their order.
        image_sizes: Called likewise; returns the height and width of its images, int [M, 2]. None where only decoding
            them tells.
    """

    unit: ClassVar[str] = "box"
    least_classes: ClassVar[int] = 1

    annotations: Callable[[str], Annotations] = field(kw_only=True)
    image_sizes: Callable[[str], np.ndarray] | None = field(default=None, kw_only=True)

    @cached_property
    def known(self) -> Annotations:
        """The annotations by the numbers that are the labels."""
        return Annotations.concatenated([self.annotations(name) for name in self.split_sizes])

    @cached_property
    def most_boxes(self) -> int:
        """The most boxes of an image of the whole set, N: as many rows have the labels of every image."""
        return self.known.most

    def annotations_of(self, split: str) -> Annotations:
        """Returns the annotations of the images of a split, which may be a part of a stored one, or several."""
        return Annotations.concatenated(
            [self.annotations(name).rows(start, stop) for name, start, stop in self.parts(split)]
        )

    def boxes_on(self, split: str, canvas: Size) -> np.ndarray:
        """Returns the boxes of a split as shares of a canvas, on which images are as large as they fit, float [T, 4].

        Args:
            split: A split string.
            canvas: Its size. Images whose sizes nobody knows are taken to fill it.
        """
        known = self.annotations_of(split)
        if self.image_sizes is None:
            return known.boxes
        sizes = np.concatenate([self.image_sizes(name)[start:stop] for name, start, stop in self.parts(split)])
        content = sizes / (canvas.height, canvas.width)
        content /= content.max(axis=1, keepdims=True)
        return np.asarray(known.boxes * np.tile(np.repeat(content, known.counts, axis=0), 2))

    def class_counts(self, split: str) -> np.ndarray:
        """Returns how many boxes each class has in a split, int64 [K]."""
        return self.annotations_of(split).class_counts(len(self.class_names))

    def check_labelled(self, **splits: str) -> None:
        """Refuses splits without any box that counts: nothing can be learned of them, nor measured on them.

        Args:
            **splits: The split string of each role: `train_split`, `eval_split`, `selection_split`.

        Raises:
            ValueError: There is one.
        """
        for role, split in splits.items():
            if not self.class_counts(split).any():
                raise ValueError(
                    f"Expected boxes in the split of {role}. Received: {split!r}, none of whose "
                    f"{self.num_examples(split)} images has one that counts."
                )


def first_rows(split_sizes: Mapping[str, int]) -> dict[str, int]:
    """Returns the number of the first image of each stored split."""
    sizes = np.array(list(split_sizes.values()), np.int64)
    return dict(zip(split_sizes, (np.cumsum(sizes) - sizes).tolist(), strict=True))
