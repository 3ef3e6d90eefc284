"""Split strings: which examples of which split, in the notation of tensorflow-datasets."""

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
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

    def within(self, outer: "SplitPart") -> "SplitPart":
        """Returns the same examples as a part of the split that `outer`, all of this part's split, is a part of."""
        return SplitPart(outer.name, outer.start + self.start, outer.start + self.stop)


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


def shared_examples(left: Sequence[SplitPart], right: Sequence[SplitPart]) -> int:
    """Returns how many examples are in both of two selections.

    Args:
        left: Parts of stored splits; they may overlap each other.
        right: The same.
    """
    return sum(
        min(stop, other_stop) - max(start, other_start)
        for name, start, stop in _merged(left)
        for other, other_start, other_stop in _merged(right)
        if name == other and max(start, other_start) < min(stop, other_stop)
    )


def check_disjoint(splits: Mapping[str, str], *, parts: Mapping[str, Sequence[SplitPart]]) -> None:
    """Refuses splits that share examples, and one that counts an example twice.

    What is trained on, chosen with and reported are three different sets of images, or the figures are too good
    (DESIGN D25). A calibration split may overlap the training split, and is not to be given here.

    Args:
        splits: The split string of each role, for instance `{"train_split": "train", "eval_split": "test"}`. The role
            `train_split` may hold an example more than once.
        parts: What each role's split string selects.

    Raises:
        ValueError: Two roles share an example, or one of them, training apart, holds one twice.
    """
    for role, split in splits.items():
        doubled = _count(parts[role]) - _count(_merged(parts[role]))
        if doubled and role != "train_split":
            raise ValueError(
                f"Expected a split that holds each example once. Received: {role}={split!r}, with {doubled} repeated."
            )
    for left, right in combinations(splits, 2):
        shared = shared_examples(parts[left], parts[right])
        if shared:
            raise ValueError(
                f"Expected {left} and {right} to share no example. Received: {left}={splits[left]!r} and "
                f"{right}={splits[right]!r}, which share {shared}."
            )


def _count(parts: Sequence[SplitPart]) -> int:
    return sum(part.stop - part.start for part in parts)


def _merged(parts: Sequence[SplitPart]) -> list[SplitPart]:
    """Returns the same examples as parts that do not overlap, sorted."""
    merged: list[SplitPart] = []
    for part in sorted(parts):
        last = merged[-1] if merged else None
        if last is not None and last.name == part.name and part.start <= last.stop:
            merged[-1] = last._replace(stop=max(last.stop, part.stop))
        else:
            merged.append(part)
    return merged


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
