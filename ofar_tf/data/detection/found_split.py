"""What a reader of annotation files has found for one split, before anything of it is believed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ofar_tf.data.detection.annotations import Annotations
from ofar_tf.data.file_names import readable


@dataclass(frozen=True, eq=False)
class FoundSplit:
    """Images and the boxes that annotation files claim for them.

    Attributes:
        source: The annotation file, or the folder of them, for messages.
        root: The folder that the images' names begin at.
        files: Name of each of the M images.
        image_ids: int64 [M].
        sizes: int64 [M, 2], height and width of the images as the annotations say; 0 where they do not.
        rows: int64 [T], the image of each box.
        boxes: float64 [T, 4]: top, left, bottom, right, in pixels, or as shares with `relative`.
        classes: int64 [T].
        crowd: bool [T].
        areas: float64 [T], in pixels, or `OWN_AREA`.
        relative: Whether boxes are shares of the image's height and width.
    """

    source: Path
    root: Path
    files: Sequence[str]
    image_ids: np.ndarray
    sizes: np.ndarray
    rows: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    crowd: np.ndarray
    areas: np.ndarray
    relative: bool = False

    @property
    def paths(self) -> list[Path]:
        """The image files."""
        return [self.root / name for name in self.files]


class BoxNotes(NamedTuple):
    """How many boxes were mended, and how many left out.

    Attributes:
        cut: Boxes that left their image by more than a pixel, and were cut at its edge.
        empty: Boxes without an area within their image, which were left out.
    """

    cut: int
    empty: int

    def sentences(self, split: str) -> list[str]:
        """Returns what a user should know of a split."""
        said = []
        if self.cut:
            said.append(f"{self.cut} boxes of {split!r} leave their images; they were cut at the edge.")
        if self.empty:
            said.append(f"{self.empty} boxes of {split!r} have no area within their images; they were left out.")
        return said


def believed(found: FoundSplit, sizes: np.ndarray) -> tuple[Annotations, BoxNotes]:
    """Checks boxes, cuts them at the edges of their images and leaves out those that are empty then.

    Args:
        found: The boxes.
        sizes: Height and width, in pixels, of the image that the boxes are on, [M, 2].

    Returns:
        The annotations in the order of the images, and what was done to them.

    Raises:
        ValueError: If a box is not made of finite numbers, or its ends are in the wrong order, so that nobody knows
            what it means; the message names it.
    """
    _check_boxes(found)
    sides = np.tile(sizes[found.rows].astype(np.float64), 2)
    shares = found.boxes if found.relative else found.boxes / sides
    cut = np.clip(shares, 0.0, 1.0).astype(np.float32)
    kept = (cut[:, :2] < cut[:, 2:]).all(axis=1)
    leaves = (np.abs(shares - cut) * sides > 1.0).any(axis=1)
    order = np.flatnonzero(kept)[np.argsort(found.rows[kept], kind="stable")]
    annotations = Annotations(
        image_ids=found.image_ids,
        counts=np.bincount(found.rows[kept], minlength=len(found.files)),
        boxes=cut[order],
        classes=found.classes[order].astype(np.int32),
        crowd=found.crowd[order],
        areas=found.areas[order].astype(np.float32),
    )
    return annotations, BoxNotes(cut=int((leaves & kept).sum()), empty=int((~kept).sum()))


def _check_boxes(found: FoundSplit) -> None:
    finite = np.isfinite(found.boxes).all(axis=1)
    ordered = (found.boxes[:, :2] <= found.boxes[:, 2:]).all(axis=1)
    wrong = np.flatnonzero(~finite | ~ordered)
    if wrong.size:
        first = wrong[0]
        numbers = ", ".join(f"{number:g}" for number in found.boxes[first])
        more = f", and {wrong.size - 1} more" if wrong.size > 1 else ""
        raise ValueError(
            "Expected boxes of finite numbers, their top above their bottom and their left before their right. "
            f"Received: top, left, bottom, right = {numbers} on {readable(found.files[found.rows[first]])} in "
            f"{readable(found.source)}{more}."
        )
