"""Boxes whose four numbers mean something else than they should: told by how many then leave their images."""

from collections.abc import Callable, Mapping

import numpy as np

SIZED = "left, top, width, height"
CORNERS = "left, top, right, bottom"
CENTRED = "x and y of the centre, width, height"
"""What the four numbers of a box may be."""

# With fewer boxes that leave their images, or a smaller share of them, nobody has taken one thing for another.
_LEAST, _SHARE = 5, 0.2
# By more than so much of its image a box leaves it that was read wrongly; things that fill their images are often drawn
# a little too large, and in another way to read them such boxes would fit. By so much any box may leave its image.
_FAR, _MARGIN = 0.05, 0.01
# Of shares read as pixels no right or lower edge is beyond this, whatever they are shares of.
_MOST_OF_SHARES = 2.0


def _written_as_corners(numbers: np.ndarray) -> np.ndarray:
    return numbers[:, [1, 0, 3, 2]]


def _written_with_sides(numbers: np.ndarray) -> np.ndarray:
    left, top, width, height = numbers.T
    return np.stack([top, left, top + height, left + width], axis=1)


def _written_around_centres(numbers: np.ndarray) -> np.ndarray:
    x, y, width, height = numbers.T
    return np.stack([y - height / 2, x - width / 2, y + height / 2, x + width / 2], axis=1)


_READINGS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    SIZED: _written_with_sides,
    CORNERS: _written_as_corners,
    CENTRED: _written_around_centres,
}


def other_reading(boxes: np.ndarray, limits: np.ndarray, *, read_as: str) -> tuple[int, str] | None:
    """Tells boxes whose numbers were written in another way than they were read.

    They are where many leave their images, or have their ends swapped, and none does in another way to read them. Boxes
    that are only drawn a little too large do not all fit in any other way.

    Args:
        boxes: float `[T, 4]`: top, left, bottom, right, as they were read.
        limits: `[T, 2]`, height and width of each box's image; ones for boxes in shares of these.
        read_as: How they were read, one of the constants.

    Returns:
        How many do not fit, and how all would; None where nothing speaks for it.
    """
    wrong = int((~_fits(boxes, limits, margin=_FAR)).sum())
    if wrong < max(_LEAST, _SHARE * len(boxes)):
        return None
    numbers = _numbers(boxes, read_as)
    for way, read in _READINGS.items():
        for name, order in ((way, [0, 1, 2, 3]), (_rows_first(way), [1, 0, 3, 2])):
            if name != read_as and _fits(read(numbers[:, order]), limits).all():
                return wrong, name
    return None


def are_shares(boxes: np.ndarray, sizes: np.ndarray) -> bool:
    """Whether boxes that should be in pixels lie within the first two pixels of their images, all of them.

    Args:
        boxes: float `[T, 4]`: top, left, bottom, right.
        sizes: `[T, 2]`, height and width of each box's image.
    """
    return bool(len(boxes)) and bool(boxes[:, 2:].max() <= _MOST_OF_SHARES < sizes.min() / 4)


def _fits(boxes: np.ndarray, limits: np.ndarray, *, margin: float = _MARGIN) -> np.ndarray:
    top_left, bottom_right, room = boxes[:, :2], boxes[:, 2:], margin * limits
    within = (top_left >= -room) & (bottom_right <= limits + room) & (top_left <= bottom_right)
    return np.asarray(within.all(axis=1))


def _numbers(boxes: np.ndarray, read_as: str) -> np.ndarray:
    """Returns what was written, columns before rows."""
    top, left, bottom, right = boxes.T
    sides = right - left, bottom - top
    return np.stack(
        {
            SIZED: (left, top, *sides),
            CORNERS: (left, top, right, bottom),
            CENTRED: ((left + right) / 2, (top + bottom) / 2, *sides),
        }[read_as],
        axis=1,
    )


def _rows_first(way: str) -> str:
    return {
        SIZED: "top, left, height, width",
        CORNERS: "top, left, bottom, right",
        CENTRED: "y and x of the centre, height, width",
    }[way]
