"""Channels as identities: what the rules of `layer_rules` find out about them.

A *channel* here is an integer identity. Every tensor carries one identity per entry of its last axis, every axis of a
weight that holds channels carries one per index. Rules say which identities are the same channel (`tie`), which weights
they index (`own`) and which can never be pruned (`fix`, `block`, `stream`).
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

Ids = np.ndarray


@dataclass(frozen=True, eq=False)
class Channels:
    """What is known of a tensor while the graph is traced.

    Attributes:
        ids: int64 `[C]`, the identity of each entry of the tensor's last axis.
        shape: The tensor's static shape, `None` where unknown.
        activated: Whether a non-linearity was applied since the last kernel or sum.
        path: The channels the tensor was made from since the last sum, its own included, by (first, how many).
    """

    ids: Ids
    shape: tuple[int | None, ...]
    activated: bool
    path: dict[tuple[int, int], Ids] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", {**self.path, (int(self.ids[0]), len(self.ids)): self.ids})


@dataclass
class Propagation:
    """The ties, owned weights and reasons found so far; each rule adds to it.

    Attributes:
        count: How many identities exist.
        ties: Pairs of equally long runs of identities that are the same channels.
        owners: The identities along an axis of a weight, by (id of the variable, axis).
        widths: The identities that a layer's configuration counts, by id of the layer.
        fixed: Channels that must stay, each with the reason.
        blocked: Channels that stay only because of a layer the library cannot follow, each with the reason.
        stream: Channels of the residual stream.
        gammas: The ids of the BatchNorm scales, which rank channels.
    """

    count: int = 0
    ties: list[tuple[Ids, Ids]] = field(default_factory=list)
    owners: dict[tuple[int, int], Ids] = field(default_factory=dict)
    widths: dict[int, Ids] = field(default_factory=dict)
    fixed: list[tuple[Ids, str]] = field(default_factory=list)
    blocked: list[tuple[Ids, str]] = field(default_factory=list)
    stream: list[Ids] = field(default_factory=list)
    gammas: set[int] = field(default_factory=set)

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

    def set_width(self, layer: Any, ids: Ids) -> None:
        """Declares that a weightless layer's configuration states the number of these channels, in all its calls."""
        self.tie(self.widths.setdefault(id(layer), ids), ids)

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
        stream = [] if prune_residual_stream else [(ids, "it is part of the residual stream") for ids in self.stream]
        reasons: dict[int, str] = {}
        for ids, reason in [*self.fixed, *stream, *self.blocked]:
            for channel in np.unique(merged[ids]):
                reasons.setdefault(int(channel), reason)
        return reasons
