"""Channels with one decision each, and channels that always stay."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ChannelGroup:
    """Channels with one decision each, which index the same axes of the same weights.

    Attributes:
        name: The layer that produces the channels first, unique among the groups of a model.
        start: Number of the group's first channel in the model-wide order of prunable channels.
        size: How many channels the group has. In a convolution of k groups, one channel stands for k of its filters.
        layers: Names of the layers whose weights the channels index.
        gammas: Positions in `model.weights` of the BatchNorm scales that rank the channels.
        kernels: Where no BatchNorm has a scale, the (position in `model.weights`, axis) of the kernels that feed those
            without: the norms of their filters rank the channels.
        notes: What was found out about the channels on the way.
    """

    name: str
    start: int
    size: int
    layers: tuple[str, ...]
    gammas: tuple[int, ...]
    kernels: tuple[tuple[int, int], ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def channels(self) -> slice:
        """Where the group's channels lie in a vector over all prunable channels."""
        return slice(self.start, self.start + self.size)


@dataclass(frozen=True)
class UnprunableChannels:
    """Channels that always stay, and why.

    Attributes:
        name: The layer that produces them.
        size: How many there are.
        reason: Why they stay, in a few words.
        notes: What was found out about the channels on the way.
    """

    name: str
    size: int
    reason: str
    notes: tuple[str, ...] = field(default=(), compare=False)
