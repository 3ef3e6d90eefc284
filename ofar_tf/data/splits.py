"""Split strings: which examples of which split, in the notation of tensorflow-datasets."""

import re
from collections.abc import Mapping
from typing import NamedTuple

_PART = re.compile(r"(?P<name>[\w-]+)(\[(?P<start>[^:\]]*):(?P<stop>[^:\]]*)\])?")
_BOUNDARY = re.compile(r"(?P<value>-?\d+(\.\d+)?)(?P<percent>%?)")


class SplitPart(NamedTuple):
    """A contiguous part of one split.

    Attributes:
        name: The split it is a part of.
        start: Index of its first example.
        stop: Index after its last example, larger than `start`.
    """

    name: str
    start: int
    stop: int


def parse_split(split: str, *, split_sizes: Mapping[str, int]) -> tuple[SplitPart, ...]:
    """Reads a split string.

    The grammar and the rounding are those of tensorflow-datasets (a percentage is rounded to the nearest example,
    halves to the even one), so a string means the same for every kind of data set. `shard` units are not supported, and
    `all` is no keyword: it is the name of the only split of a plain image folder.

    Args:
        split: `name`, `name[start:stop]` or a sum of these with `+`. Boundaries are example counts or percentages;
            negative ones count from the end.
        split_sizes: Number of examples in each split there is.

    Returns:
        The parts in the order in which they were written.

    Raises:
        ValueError: The string does not parse, names a split that does not exist, reaches outside of it, or selects
            nothing.
    """
    return tuple(_parse_part(part.strip(), split, split_sizes) for part in split.split("+"))


def _parse_part(part: str, split: str, split_sizes: Mapping[str, int]) -> SplitPart:
    match = _PART.fullmatch(part)
    if match is None:
        raise ValueError(
            f"Expected a split such as 'train', 'train[:10%]' or 'train[500:]'. Received: split={split!r}."
        )
    name = match["name"]
    if name not in split_sizes:
        raise ValueError(f"Expected one of the splits {', '.join(split_sizes)}. Received: split={split!r}.")
    size = split_sizes[name]
    start = _example_index(match["start"], split=split, size=size, default=0)
    stop = _example_index(match["stop"], split=split, size=size, default=size)
    if start >= stop:
        raise ValueError(f"Expected a split with at least one of the {size} examples. Received: split={split!r}.")
    return SplitPart(name, start, stop)


def _example_index(boundary: str | None, *, split: str, size: int, default: int) -> int:
    if not boundary:
        return default
    match = _BOUNDARY.fullmatch(boundary)
    if match is None or (match[2] and not match["percent"]):
        raise ValueError(f"Expected slice boundaries that are counts or percentages. Received: split={split!r}.")
    value = float(match["value"])
    index = round(value * size / 100.0) if match["percent"] else int(value)
    if abs(index) > size:
        raise ValueError(f"Expected a slice within the {size} examples of the split. Received: split={split!r}.")
    return index + size if index < 0 else index
