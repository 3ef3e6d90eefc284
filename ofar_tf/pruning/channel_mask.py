"""A channel mask says, for every prunable channel of a supernet, whether it is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ofar_tf.pruning.channel_groups import ChannelGroup, ChannelGroups


@dataclass(frozen=True, eq=False)
class ChannelMask:
    """Which prunable channels of a supernet are kept.

    Attributes:
        groups: The prunable groups of the supernet.
        keep: bool `[channels]`, in the order of the groups; true where the channel is kept. A read-only copy.

    Raises:
        ValueError: If `keep` has another shape or dtype, or keeps no channel of some group.
    """

    groups: tuple[ChannelGroup, ...]
    keep: np.ndarray

    def __post_init__(self) -> None:
        size = sum(group.size for group in self.groups)
        if self.keep.dtype != bool or self.keep.shape != (size,):
            raise ValueError(
                f"Expected a bool mask of shape [{size}]. Received: {self.keep.dtype} of shape {list(self.keep.shape)}."
            )
        empty = next((group.name for group in self.groups if not self.keep[group.channels].any()), None)
        if empty is not None:
            raise ValueError(f"Expected a mask that keeps a channel of every group. Received: none kept of {empty!r}.")
        keep = self.keep.copy()
        keep.setflags(write=False)
        object.__setattr__(self, "keep", keep)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ChannelMask) and self.groups == other.groups and bool((self.keep == other.keep).all())

    def __hash__(self) -> int:
        return hash(self.keep.tobytes())

    @property
    def rate(self) -> float:
        """The share of prunable channels that the mask removes, in [0, 1)."""
        return float((~self.keep).mean())

    def kept(self) -> dict[str, list[int]]:
        """Returns the kept positions of each group, as stored in `pool.json`."""
        return {group.name: np.flatnonzero(self.keep[group.channels]).tolist() for group in self.groups}

    @classmethod
    def full(cls, groups: ChannelGroups) -> "ChannelMask":
        """Returns the mask that keeps every channel."""
        return cls(groups.groups, np.ones(groups.size, bool))

    @classmethod
    def from_kept(cls, groups: Sequence[ChannelGroup], kept: Mapping[str, Sequence[int]]) -> "ChannelMask":
        """Reads a mask from the kept positions of each group.

        Args:
            groups: The prunable groups of the supernet.
            kept: For each group's name, positions in [0, size).

        Raises:
            ValueError: If the groups differ from the supernet's or a position does not exist.
        """
        if set(kept) != {group.name for group in groups}:
            different = sorted(set(kept) ^ {group.name for group in groups})
            raise ValueError(f"Expected the channel groups of the supernet. Received: groups that differ: {different}.")
        keep = np.zeros(sum(group.size for group in groups), bool)
        for group in groups:
            positions = np.asarray(kept[group.name], int)
            if ((positions < 0) | (positions >= group.size)).any():
                raise ValueError(
                    f"Expected positions in [0, {group.size}) for group {group.name!r}. Received: {positions.tolist()}."
                )
            keep[group.channels][positions] = True
        return cls(tuple(groups), keep)


@dataclass(frozen=True)
class MaskRules:
    """What every mask must respect, whatever the ranking says.

    Attributes:
        min_channels: Least number of channels a group keeps (or all it has), at least 1. An emptied layer would crash.
            By default what fits the group: 8, or a quarter of it where that is less.
        channel_round_to: Kept counts are rounded to a multiple of this, at least 1; a whole group is always allowed.
            Odd counts cost milliseconds on phones (DESIGN D13). By default what fits the group: 8, or the largest of 4,
            2 and 1 that is no more than a quarter of it.
        floors: Groups with a `min_channels` of their own, by name.
    """

    min_channels: int | None = None
    channel_round_to: int | None = None
    floors: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("min_channels", "channel_round_to"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"Expected {name} of at least 1. Received: {name}={value}.")

    def allowed(self, count: int, group: ChannelGroup) -> int:
        """Returns the nearest number of channels that a group may keep, given how many the ranking would keep."""
        size, step = group.size, self.channel_round_to or _fitting_step(group.size)
        rounded = int(np.floor(count / step + 0.5)) * step
        if size - count <= count - rounded:
            return size
        # What fits is itself a multiple of what is rounded to, so that rounding up does not exceed a quarter.
        fitting = max(1, min(8, size // 4) // step * step) if self.min_channels is None else self.min_channels
        least = self.floors.get(group.name, fitting)
        return min(max(rounded, -(-least // step) * step), size)


def _fitting_step(size: int) -> int:
    """The largest of 8, 4, 2 and 1 that is no more than a quarter of a group."""
    return next(step for step in (8, 4, 2, 1) if 4 * step <= size or step == 1)


def rank_channels(groups: Sequence[ChannelGroup], scores: np.ndarray) -> np.ndarray:
    """Orders all prunable channels from the least to the most important.

    Equal scores (at initialisation all gammas are equal) are ordered by relative position in the group, the last
    channels first, so that a ranking without information prunes every group by the same share.

    Args:
        groups: The prunable groups.
        scores: float `[channels]`, larger is more important.

    Returns:
        int `[channels]`: channel numbers, the first to be pruned first.

    Raises:
        ValueError: If a score is not finite.
    """
    if not np.isfinite(scores).all():
        raise ValueError("Expected finite importance scores. Received: NaN or infinity; the training has diverged.")
    position = np.concatenate([1.0 - np.arange(group.size) / group.size for group in groups])
    return np.lexsort((position, scores))


def mask_without(groups: Sequence[ChannelGroup], order: np.ndarray, pruned: int, *, rules: MaskRules) -> ChannelMask:
    """Removes the least important channels, then applies the floor and the rounding group by group.

    Args:
        groups: The prunable groups.
        order: The ranking of `rank_channels`.
        pruned: How many channels the global ranking removes, in [0, channels]. A larger number never keeps more
            channels of any group, which is what makes bisection on it exact.
        rules: Floor and rounding.

    Returns:
        The mask. It may keep a few channels more or fewer than `channels - pruned`.
    """
    importance = np.empty(len(order), int)
    importance[order] = np.arange(len(order))
    keep = np.zeros(len(order), bool)
    for group in groups:
        ranks = importance[group.channels]
        count = rules.allowed(int((ranks >= pruned).sum()), group)
        keep[group.channels][np.argsort(-ranks)[:count]] = True
    return ChannelMask(tuple(groups), keep)
