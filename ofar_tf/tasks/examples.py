"""Some images of a split with what a file says of them, drawn for people."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from matplotlib.image import imsave

from ofar_tf.tasks.answers import Batches

_QUALITY = 80
_START = "data:image/webp;base64,"


@dataclass(frozen=True)
class Example:
    """An image as a task shows it.

    Attributes:
        picture: A WebP as a `data:` address, which holds the whole picture.
        caption: What there is to say of it, as plain text.
        right: Whether the file is right about it; None where images are not right or wrong.

    Raises:
        ValueError: If the picture is an address of anything else.
    """

    picture: str
    caption: str
    right: bool | None = None

    def __post_init__(self) -> None:
        if not self.picture.startswith(_START) or set(self.picture) & set("\"'<> \n"):
            raise ValueError(f"Expected a picture that holds itself. Received: picture={self.picture!r:.60}.")

    @classmethod
    def drawn(cls, pixels: np.ndarray, caption: str, *, right: bool | None = None) -> "Example":
        """Makes an example of pixels.

        Args:
            pixels: `[h, w, 3]`, values in 0..255.
            caption: See the class, as `right`.
            right: See the class.
        """
        file = io.BytesIO()
        whole = np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)
        imsave(file, whole, format="webp", pil_kwargs={"quality": _QUALITY})
        return cls(_START + base64.b64encode(file.getvalue()).decode("ascii"), caption, right)


def evenly_spread(places: np.ndarray, count: int) -> np.ndarray:
    """Picks some of many, from the first to the last.

    Args:
        places: int `[N]`, N >= 0.
        count: How many are wanted, from 0.

    Returns:
        int `[min(N, count)]`, in the same order.
    """
    if not len(places):
        return places
    return places[np.linspace(0, len(places) - 1, num=min(len(places), count)).round().astype(int)]


def picked(batches: Batches, places: Sequence[int] | np.ndarray) -> Iterator[tuple[int, np.ndarray, Any]]:
    """Takes single images out of a split, and reads no further than to the last.

    Args:
        batches: The split.
        places: Which images, counted from 0; in any order.

    Yields:
        The place, the image and its label, both as batches of one, in the order of the split; none of places that are
        beyond its end.
    """
    left, first = sorted(set(map(int, places))), 0
    for images, labels in batches if left else ():
        while left and left[0] < first + len(images):
            place = left.pop(0)
            one = slice(place - first, place - first + 1)
            yield place, np.asarray(images[one]), keras.tree.map_structure(lambda each, one=one: each[one], labels)
        if not left:
            return
        first += len(images)
