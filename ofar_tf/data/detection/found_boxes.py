"""Boxes gathered image by image, for readers of formats with a file of annotations for each image."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from ofar_tf.data.detection.annotations import OWN_AREA
from ofar_tf.data.detection.found_split import FoundSplit
from ofar_tf.data.detection.split_places import visible_names
from ofar_tf.data.folder_listing import SUFFIXES
from ofar_tf.files.file_names import readable


class FoundImage(NamedTuple):
    """What a file of annotations says of one image.

    Attributes:
        size: Height and width in pixels; zeros where it does not say.
        boxes: Of each object top, left, bottom, right.
        classes: Name or number of each object's class.
        crowd: Whether each object need not be found.
        file_name: What the image is called; empty where it does not say.
    """

    size: tuple[int, int]
    boxes: list[tuple[float, float, float, float]]
    classes: list[str]
    crowd: list[bool]
    file_name: str = ""


def images_in(folder: Path, *, below: bool = False) -> dict[str, str]:
    """Returns the names of the images in a folder by their names without suffix, sorted; empty if it is no folder.

    Args:
        folder: The folder.
        below: Whether images in folders below count too; their names begin with these folders, as `camera/1.png`.

    Raises:
        ValueError: Two images differ in their suffixes only, so that one file of annotations would be for both.
    """
    names = visible_names(folder, "**/*" if below else "*")
    found: dict[str, str] = {}
    for name in filter(_is_image, names):
        other = found.setdefault(bare(name), name)
        if other != name:
            raise ValueError(
                "Expected images whose names differ in more than the suffix: each has one file of annotations. "
                f"Received: {readable(folder / other)} and {readable(name)}."
            )
    return found


def bare(name: str) -> str:
    """Returns a name, which may begin with folders, without the suffix; letters with accents are written in one way."""
    return unicodedata.normalize("NFC", PurePosixPath(name).with_suffix("").as_posix())


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def gathered(
    images: Iterable[tuple[str, FoundImage]],
    *,
    source: Path,
    root: Path,
    label_of: Callable[[str], int],
    read_as: str,
    relative: bool = False,
) -> FoundSplit:
    """Returns the images of a split as one `FoundSplit`.

    Args:
        images: Each image's name and what was found for it.
        source: See `FoundSplit`.
        root: See there.
        label_of: Gives the index of a class by its name or number.
        read_as: See `FoundSplit`.
        relative: See there.

    Raises:
        ValueError: If two files of annotations are of one image.
    """
    names, found = zip(*images, strict=True)
    double, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise ValueError(
            f"Expected each image to have one file of annotations. Received: {times} in {readable(source)} for "
            f"{readable(double)}."
        )
    counts = [len(each.boxes) for each in found]
    boxes = [box for each in found for box in each.boxes]
    return FoundSplit(
        source=source,
        root=root,
        files=list(names),
        image_ids=np.arange(len(names)),
        sizes=np.array([each.size for each in found], np.int64),
        rows=np.repeat(np.arange(len(names)), counts),
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        classes=np.array([label_of(kind) for each in found for kind in each.classes], np.int64),
        crowd=np.array([crowd for each in found for crowd in each.crowd], bool),
        areas=np.full(len(boxes), OWN_AREA),
        relative=relative,
        read_as=read_as,
    )
