"""Boxes on photographs that are stored lying: whether they were drawn on the stored or on the upright picture."""

from dataclasses import replace

import numpy as np

from ofar_tf.data.detection.annotations import OWN_AREA, Annotations
from ofar_tf.data.detection.found_split import FoundSplit
from ofar_tf.data.orientation import upright_boxes
from ofar_tf.files.file_names import readable

# The first of the orientation tags that make rows of columns.
_LYING = 5
# Sides that annotations give may be those of a larger or smaller copy, rounded.
_PIXELS = 1.0


def sizes_seen(found: FoundSplit, *, stored: np.ndarray, tags: np.ndarray) -> np.ndarray:
    """Returns the sizes of the images as they were seen by who drew the boxes.

    That is the upright image, as viewers show it, unless the annotations say the size of the stored one, which some
    tools show. An image may be a larger or smaller copy of the one that was annotated.

    Args:
        found: What annotations say.
        stored: int [M, 2], height and width of the images as they are stored.
        tags: int [M], their orientation tags.

    Returns:
        int64 [M, 2].

    Raises:
        ValueError: An image has neither shape; the message names it.
    """
    upright = upright_sizes(stored, tags)
    claimed = np.where(found.sizes.min(axis=1, keepdims=True) > 0, found.sizes, upright)
    wrong = np.flatnonzero(~(_alike(claimed, upright) | _alike(claimed, stored)))
    if wrong.size:
        first = wrong[0]
        said, is_now = ("x".join(map(str, size[first][::-1])) for size in (claimed, upright))
        more = f", and {wrong.size - 1} more" if wrong.size > 1 else ""
        raise ValueError(
            f"Expected images of the shapes that {readable(found.source)} says. Received: "
            f"{readable(found.files[first])} of {is_now} pixels instead of {said}{more}."
        )
    return claimed.astype(np.int64)


def turned_with_images(
    annotations: Annotations, *, sizes: np.ndarray, stored: np.ndarray, tags: np.ndarray
) -> Annotations:
    """Returns the annotations of the images as they are used: upright, and of their present size.

    Args:
        annotations: Annotations of M images.
        sizes: int64 [M, 2], what `sizes_seen` returned.
        stored: See there.
        tags: See there.
    """
    upright = upright_sizes(stored, tags)
    boxes = annotations.boxes.copy()
    for image in np.flatnonzero((tags >= _LYING) & ~_alike(sizes, upright)):
        own = slice(annotations.starts[image], annotations.starts[image] + annotations.counts[image])
        boxes[own] = upright_boxes(boxes[own], int(tags[image]))
    scale = np.repeat(upright.prod(axis=1) / sizes.prod(axis=1), annotations.counts).astype(np.float32)
    areas = np.where(annotations.areas == OWN_AREA, OWN_AREA, annotations.areas * scale).astype(np.float32)
    return replace(annotations, boxes=boxes, areas=areas)


def upright_sizes(stored: np.ndarray, tags: np.ndarray) -> np.ndarray:
    """Returns height and width of the images as viewers show them."""
    return np.where((tags >= _LYING)[:, np.newaxis], stored[:, ::-1], stored)


def _alike(sizes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether images have the same shape, to a pixel of the smaller of the two."""
    (height, width), (other_height, other_width) = sizes.T.astype(np.float64), others.T
    larger = np.maximum(np.maximum(height, width), np.maximum(other_height, other_width))
    return np.abs(height * other_width - width * other_height) <= _PIXELS * larger
