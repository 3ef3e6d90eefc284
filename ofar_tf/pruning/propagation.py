"""Channels as identities: what the rules of `layer_rules` find out about them.

A *channel* here is an integer identity. Every tensor carries one identity per entry of its last axis, every axis of a
weight that holds channels carries one per index. Rules say which identities are the same channel (`tie`), which weights
they index (`own`) and which can never be pruned (`fix`, `block`, `stream`).
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from ofar_tf.pruning.lineage import Lineage

Ids = np.ndarray
Setting = str | int

STREAM = "it is part of the residual stream"

ANYTHING = np.array([-2.0, 0.0, 2.0])
"""What dropped channels may be, as `Channels.dropped`, where that is not known."""

COUPLED = "coupled channels"
"""The setting of `Propagation.state` of an operation that computes with all channels at once, a `Places`."""


@dataclass(frozen=True, eq=False)
class Flow:
    """Channels of one output of a layer.

    Attributes:
        ids: int64 `[C]`, the identity at each index of the axis.
        axis: The axis of the output that holds them, counted from the last, which is -1.
    """

    ids: Ids
    axis: int = -1


@dataclass(frozen=True, eq=False)
class Channels(Flow):
    """What is known of a tensor while the graph is traced: all its axes but one hold no channels.

    Attributes:
        shape: The tensor's static shape, `None` where unknown.
        activated: Whether a non-linearity was applied since the last kernel.
        dropped: float `[values]`: what dropped channels may be here when weights are only masked, as samples. Right
            behind a kernel it is zero.
        lineage: The tensors that this one was made from, by number in the order of the graph; none if it is constant.
    """

    shape: tuple[int | None, ...] = ()
    activated: bool = False
    dropped: np.ndarray = field(default_factory=lambda: np.zeros(1))
    lineage: Lineage = field(default_factory=dict)

    @property
    def is_constant(self) -> bool:
        """Whether it is the same for all images: made of weights alone, or of ones."""
        return not self.lineage


@dataclass
class Propagation:
    """The ties, owned weights and reasons found so far; each rule adds to it.

    Attributes:
        count: How many identities exist.
        ties: Pairs of equally long runs of identities that are the same channels.
        owners: The identities along an axis of a weight, by (id of the variable, axis).
        stated: The settings and arguments of an operation that state numbers of channels, by its id: see `state`.
        pieces: Channels that were cut out of a tensor; of each such piece some must be left.
        fixed: Channels that must stay, each with the reason.
        blocked: Channels that stay only because of a layer the library cannot follow, each with the reason.
        obstacles: Why a layer of the user's could not be opened, by the reason in `blocked`, where that is known.
        stream: Channels of the residual stream.
        reads: Channels that kernels read, each with whether a non-linearity was applied since the last kernel.
        notes: What was found out about channels on the way, for people to read.
        gammas: The ids of the BatchNorm scales, which rank channels.
        unscaled: The ids of a weight of each BatchNorm without a scale: what feeds it ranks its channels.
        feeders: The (id of the kernel, axis) that channels come out of.
    """

    count: int = 0
    ties: list[tuple[Ids, Ids]] = field(default_factory=list)
    owners: dict[tuple[int, int], Ids] = field(default_factory=dict)
    stated: dict[int, dict[Setting, Any]] = field(default_factory=dict)
    pieces: list[Ids] = field(default_factory=list)
    fixed: list[tuple[Ids, str]] = field(default_factory=list)
    blocked: list[tuple[Ids, str]] = field(default_factory=list)
    obstacles: dict[str, str] = field(default_factory=dict)
    stream: list[Ids] = field(default_factory=list)
    reads: list[tuple[Ids, bool]] = field(default_factory=list)
    notes: list[tuple[Ids, str]] = field(default_factory=list)
    gammas: set[int] = field(default_factory=set)
    unscaled: set[int] = field(default_factory=set)
    feeders: set[tuple[int, int]] = field(default_factory=set)

    def new(self, size: int) -> Ids:
        """Returns `size` identities never used before."""
        self.count += size
        return np.arange(self.count - size, self.count)

    def tie(self, first: Ids, second: Ids) -> None:
        """Declares two equally long runs of identities to be the same channels."""
        if len(first) != len(second):
            raise ValueError(f"Expected equally many channels to tie. Received: {len(first)} and {len(second)}.")
        self.ties.append((first, second))

    def own(self, variable: keras.Variable, axis: int, ids: Ids | None = None) -> Ids:
        """Declares that an axis of a weight is indexed by these channels, and returns its identities.

        A layer that is called twice owns its weights once: the second call ties its channels to the first call's.
        """
        key = (id(variable), axis % len(variable.shape))
        if key not in self.owners:
            self.owners[key] = self.new(variable.shape[axis])
        if ids is not None:
            self.tie(self.owners[key], ids)
        return self.owners[key]

    def feed(self, variable: keras.Variable, axis: int, ids: Ids | None = None) -> Ids:
        """Declares what `own` does, and that the axis is that of the channels which come out of the kernel."""
        self.feeders.add((id(variable), axis % len(variable.shape)))
        return self.own(variable, axis, ids)

    def state(self, operation: Any, setting: Setting, value: Any) -> None:
        """Declares that a setting or an argument of an operation states numbers of channels.

        Args:
            operation: The layer or operation. All its calls must state the same channels: they are tied.
            setting: The name of the entry of its configuration, or the position of the argument of its call.
            value: The setting with identities in the place of each number that counts channels.
        """
        first = self.stated.setdefault(id(operation), {}).setdefault(setting, value)
        for one, other in zip(counted(first), counted(value), strict=True):
            self.tie(one, other)

    def note(self, ids: Ids, text: str) -> None:
        """Keeps something that explains how these channels were judged."""
        self.notes.append((ids, text))

    def fix(self, ids: Ids, reason: str) -> None:
        """Declares channels that must never be pruned by the nature of the network."""
        self.fixed.append((ids, reason))

    def block(self, ids: Ids, reason: str) -> None:
        """Declares channels that could perhaps be pruned if the library understood more: a loss worth a warning."""
        self.blocked.append((ids, reason))

    def merged(self) -> Ids:
        """Maps each identity to the smallest identity it is tied to."""
        label = np.arange(self.count)
        if not self.ties:
            return label
        first = np.concatenate([pair[0] for pair in self.ties])
        second = np.concatenate([pair[1] for pair in self.ties])
        while True:
            previous = label.copy()
            smallest = np.minimum(label[first], label[second])
            np.minimum.at(label, first, smallest)
            np.minimum.at(label, second, smallest)
            label = label[label]
            if (label == previous).all():
                return label

    def places(self, merged: Ids) -> dict[int, set[tuple[int, int]]]:
        """Lists, for each merged channel that a weight holds, the (id of the variable, axis) it indexes."""
        places: dict[int, set[tuple[int, int]]] = defaultdict(set)
        for place, ids in self.owners.items():
            for channel in np.unique(merged[ids]):
                places[int(channel)].add(place)
        return places

    def reasons(self, merged: Ids, *, prune_residual_stream: bool) -> dict[int, str]:
        """Maps each merged channel that must stay to the reason; what the network itself asks for comes first."""
        stream = [] if prune_residual_stream else [*self.stream, *self._bottlenecks(merged)]
        reasons: dict[int, str] = {}
        for ids, reason in [*self.fixed, *((ids, STREAM) for ids in stream), *self.blocked]:
            for channel in np.unique(merged[ids]):
                reasons.setdefault(int(channel), reason)
        return reasons

    def _bottlenecks(self, merged: Ids) -> list[Ids]:
        """Finds what every kernel reads without a non-linearity before it: what residual blocks hand to each other.

        Such linear bottlenecks (MobileNetV2) form the residual stream together with the sums (DESIGN D10). What a gate
        reads early and the next kernel late is none.
        """
        bent = [merged[ids] for ids, activated in self.reads if activated]
        elsewhere = np.unique(np.concatenate(bent)) if bent else np.zeros(0, int)
        return [ids[~np.isin(merged[ids], elsewhere)] for ids, activated in self.reads if not activated]


class Chosen(list[Any]):
    """The value of a setting that names channels by their numbers, for `Propagation.state`.

    Each entry is a pair: the channels before the one that is named, whose count is its number, and the one itself. A
    network that does not have it does not name it.
    """


class Places(list[Any]):
    """The value of `COUPLED`, for `Propagation.state`: its one entry are the channels that an operation couples."""


def counted(value: Any) -> list[Ids]:
    """Lists the identities in a setting that `Propagation.state` was given."""
    found: list[Ids] = []
    map_counted(value, found.append)
    return found


def map_counted(value: Any, function: Callable[[Ids], Any]) -> Any:
    """Returns a setting of `Propagation.state` with what a function makes of its identities.

    Args:
        value: Nested tuples, lists and slices of identities and of whatever else settings hold.
        function: Gets each array of identities.
    """
    if isinstance(value, np.ndarray):
        return function(value)
    if isinstance(value, (tuple, list)):
        return type(value)(map_counted(entry, function) for entry in value)
    if isinstance(value, slice):
        return slice(*(map_counted(entry, function) for entry in (value.start, value.stop, value.step)))
    return value
