"""What a reader of annotation files has found for one split, before anything of it is believed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ofar_tf.data.detection.annotations import Annotations
from ofar_tf.data.detection.box_readings import are_shares, other_reading
from ofar_tf.files.file_names import readable


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
        read_as: What the four numbers of a box were taken for, one of the constants of `box_readings`; None for a
            prepared set, whose boxes are taken as they are.
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
    read_as: str | None = None

    @property
    def paths(self) -> list[Path]:
        """The image files."""
        return [self.root / name for name in self.files]


class BoxNotes(NamedTuple):
    """How many boxes were mended, and how many left out.

    Attributes:
        cut: Boxes that left their image by more than a pixel, and were cut at its edge.
        empty: Boxes without an area within their image, which were left out.
        double: Boxes of one class that are in one image twice, which were left out: a thing is found once.
    """

    cut: int
    empty: int
    double: int = 0

    def sentences(self, split: str) -> list[str]:
        """Returns what a user should know of a split."""
        said = []
        if self.cut:
            said.append(f"{self.cut} boxes of {split!r} leave their images; they were cut at the edge.")
        if self.empty:
            said.append(f"{self.empty} boxes of {split!r} have no area within their images; they were left out.")
        if self.double:
            repeat = f"{self.double} boxes of {split!r} repeat another of their image and class"
            said.append(f"{repeat}; they were left out.")
        return said


def believed(found: FoundSplit, sizes: np.ndarray) -> tuple[Annotations, BoxNotes]:
    """Checks boxes, cuts them at the edges of their images and leaves out those that are empty then, or there twice.

    Args:
        found: The boxes.
        sizes: Height and width, in pixels, of the image that the boxes are on, [M, 2].

    Returns:
        The annotations in the order of the images, and what was done to them.

    Raises:
        ValueError: If a box is not made of finite numbers, or its ends are in the wrong order, so that nobody knows
            what it means; the message names it. If boxes were written in another way than they were read.
    """
    _check_reading(found, sizes)
    _check_boxes(found)
    sides = np.tile(sizes[found.rows].astype(np.float64), 2)
    shares = found.boxes if found.relative else found.boxes / sides
    cut = np.clip(shares, 0.0, 1.0).astype(np.float32)
    has_area = (cut[:, :2] < cut[:, 2:]).all(axis=1)
    kept = has_area & ~_doubles(found, cut)
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
    notes = BoxNotes(cut=int((leaves & kept).sum()), empty=int((~has_area).sum()), double=int((has_area & ~kept).sum()))
    return annotations, notes


def _doubles(found: FoundSplit, boxes: np.ndarray) -> np.ndarray:
    """Tells which boxes repeat an earlier one of their image and class; figures of prepared sets count these."""
    if found.read_as is None:
        return np.zeros(len(boxes), bool)
    table = np.column_stack([found.rows, found.classes, found.crowd, boxes.view(np.int32)]).astype(np.int64)
    _, first = np.unique(np.ascontiguousarray(table).view(f"V{table.itemsize * table.shape[1]}"), return_index=True)
    repeats = np.ones(len(boxes), bool)
    repeats[first] = False
    return repeats


def _check_reading(found: FoundSplit, sizes: np.ndarray) -> None:
    if found.read_as is None or not np.isfinite(found.boxes).all():
        return
    own = sizes[found.rows].astype(np.float64)
    if not found.relative and are_shares(found.boxes, own):
        raise ValueError(
            f"Expected boxes in pixels in {readable(found.source)}. Received: none that reaches beyond the second "
            "pixel of its image, as if they were shares of height and width."
        )
    limits = np.ones_like(own) if found.relative else own
    if other := other_reading(found.boxes, limits, read_as=found.read_as):
        raise ValueError(
            f"Expected boxes as {found.read_as} in {readable(found.source)}. Received: {other[0]} of "
            f"{len(found.boxes)} that leave their images, where none would if the numbers are {other[1]}."
        )


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
