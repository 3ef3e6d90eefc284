"""The size of the images that a network sees."""

import re
from contextlib import suppress
from dataclasses import dataclass
from functools import total_ordering
from typing import Self

LARGEST_SIDE = 4096
"""Pixels of a side that a network may be asked for: more is a slip of the hand, which would take all memory."""


@total_ordering
@dataclass(frozen=True, eq=False)
class Size:
    """Height and width of an image; sizes are ordered by their pixels.

    A square equals the number of its side, so that resolutions can be given, looked up and compared as plain numbers.

    Attributes:
        height: In pixels, at least 1.
        width: In pixels, at least 1.

    Raises:
        ValueError: If one is less than 1.
    """

    height: int
    width: int

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1:
            raise ValueError(f"Expected a size of at least 1x1 pixels. Received: {self.height}x{self.width}.")

    @classmethod
    def of(cls, value: "Resolution") -> "Size":
        """Reads a size: a number is a square's side, a pair is (height, width).

        Raises:
            ValueError: If it is neither, or a number is not whole.
        """
        if isinstance(value, Size):
            return value
        sides = value if isinstance(value, tuple) else (value, value)
        whole: tuple[int, ...] = ()
        with suppress(TypeError, ValueError, OverflowError):
            whole = tuple(map(int, sides))
        if len(whole) != 2 or whole != sides:
            raise ValueError(f"Expected sizes in whole pixels, or pairs of height and width. Received: {value!r:.80}.")
        return cls(*whole)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads what `str` writes.

        Raises:
            ValueError: If it is something else.
        """
        if not (found := re.fullmatch(r"([0-9]{1,6})(?:x([0-9]{1,6}))?", text)):
            raise ValueError(f"Expected a size as 224 or 480x640, height by width. Received: {text!r:.80}.")
        return cls(int(found[1]), int(found[2] or found[1]))

    @property
    def pixels(self) -> int:
        """Height times width."""
        return self.height * self.width

    @property
    def is_square(self) -> bool:
        """Whether height and width are equal."""
        return self.height == self.width

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int):
            return self.height == self.width == other
        return isinstance(other, Size) and (self.height, self.width) == (other.height, other.width)

    def __hash__(self) -> int:
        return hash(self.height if self.is_square else (self.height, self.width))

    def __lt__(self, other: "Resolution") -> bool:
        other = Size.of(other)
        return (self.pixels, self.height) < (other.pixels, other.height)

    def __str__(self) -> str:
        """Writes a square as its side, `224`, and others as `480x640`."""
        return str(self.height) if self.is_square else f"{self.height}x{self.width}"


Resolution = int | tuple[int, int] | Size
"""A size as people give it: the side of a square in pixels, or height and width."""
