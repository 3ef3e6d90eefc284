"""Channel groups: which channels of a functional model live or die together.

`find_channel_groups` runs the model's graph once, symbolically. Channels that meet in an element-wise merge, a
depthwise convolution or a BatchNorm are one channel; channels that index exactly the same axes of the same weights
form one group. The result is plain data: everything later (ranking, masks, costs, slicing) reads only it.
"""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import keras
import numpy as np

from ofar_tf.pruning.functional_model import check_functional
from ofar_tf.pruning.graph_trace import GraphTrace, LayerCall, trace_graph
from ofar_tf.pruning.propagation import Ids, Propagation, Setting, map_counted

_UNRANKED = "no BatchNormalization ranks it"


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


@dataclass(frozen=True, eq=False)
class WeightChannels:
    """Which prunable channel each index of a weight belongs to.

    Attributes:
        path: The Keras path of the weight, for instance `block_1_expand/kernel`.
        shape: Its shape.
        axes: For each axis with prunable channels, int64 `[shape[axis]]`: the number of the channel at each index;
            `ChannelGroups.size` marks an index that always stays.
        kept: For each axis that holds channels, int64 `[shape[axis]]`: the position in `ChannelGroups.unprunable` of
            what stays at each index, -1 where the channel can be pruned.
    """

    path: str
    shape: tuple[int, ...]
    axes: Mapping[int, np.ndarray]
    kept: Mapping[int, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ChannelGroups:
    """Everything the library knows about the channels of one supernet.

    Attributes:
        groups: The prunable groups, in the order of the graph.
        unprunable: What always stays, with reasons.
        weights: One entry per entry of `model.weights`.
        layer_outputs: For each layer (nested ones included, in the order of `flat_layers`), the channel numbers of its
            output, or `None` where that is not known.
        calls: The layer calls in execution order, for shape inference at other resolutions.
        inputs: The Keras tensors the graph starts from.
        weight_index: Position in `model.weights` of each variable of the traced copy, by `id`.
        settings: For each of `flat_operations`, the settings that count channels, with channel numbers in the place of
            the counts: see `narrowed`.
    """

    groups: tuple[ChannelGroup, ...]
    unprunable: tuple[UnprunableChannels, ...]
    weights: tuple[WeightChannels, ...]
    layer_outputs: tuple[np.ndarray | None, ...]
    calls: tuple[LayerCall, ...]
    inputs: tuple[Any, ...]
    weight_index: Mapping[int, int]
    settings: tuple[Mapping[Setting, Any], ...] = ()

    @cached_property
    def size(self) -> int:
        """How many prunable channels there are, over all groups."""
        return sum(group.size for group in self.groups)


def find_channel_groups(
    model: keras.Model, *, prune_residual_stream: bool = False, excluded: Collection[str] = ()
) -> ChannelGroups:
    """Traces a functional model and returns its channel groups.

    For every layer that it cannot follow, and that costs channels of a kernel or a norm, it logs one warning.

    Args:
        model: A functional Keras model, channels last. It is not changed.
        prune_residual_stream: Whether channels of sums and linear bottlenecks may be pruned too. Off by default: it is
            the reading that reproduces the paper's MACs (DESIGN D10).
        excluded: Names of groups that must not be pruned.

    Returns:
        The groups, and what cannot be pruned with reasons.

    Raises:
        ValueError: If the model is not functional, is channels-first, or has nothing that can be pruned, or if a group
            to exclude does not exist.
    """
    check_functional(model)
    trace = trace_graph(model)
    groups, lost = _gather(trace, prune_residual_stream=prune_residual_stream, excluded=excluded)
    if not groups.groups:
        counted = Counter(entry.reason for entry in groups.unprunable)
        reasons = [reason for reason, _ in counted.most_common(3)]
        if any("residual stream" in reason for reason in reasons):
            reasons.append("prune_residual_stream would give more")
        raise ValueError(
            "Expected a model with channels that a BatchNormalization can rank. "
            f"Received: {model.name!r}, which has none ({'; '.join(reasons)})."
        )
    for reason, channels in lost.items():
        logging.getLogger(__name__).warning("%s: %d channels cannot be pruned.", reason, channels)
    return groups


def _gather(
    trace: GraphTrace, *, prune_residual_stream: bool, excluded: Collection[str]
) -> tuple[ChannelGroups, Counter[str]]:
    """Makes groups of what the trace found, and counts by reason the rankable channels that a layer's rule lost."""
    found, weights = trace.found, trace.model.weights
    merged = found.merged()
    weight_index = {id(variable): index for index, variable in enumerate(weights)}
    sorter = _Sorter(
        weights,
        found=found,
        reasons=found.reasons(merged, prune_residual_stream=prune_residual_stream),
        names=_first_producers(trace, merged),
        notes=_notes(found, merged),
        weight_index=weight_index,
        excluded=frozenset(excluded),
    )
    for places, channels in _by_places(trace, merged, weight_index).items():
        sorter.add(places, channels)
    unknown = sorted(set(excluded) - sorter.taken)
    if unknown:
        raise ValueError(f"Expected names of channel groups to exclude. Received: {unknown}, which do not exist.")
    size = len(sorter.numbers)
    numbers = _numbered(sorter.numbers, merged, otherwise=size)
    groups = ChannelGroups(
        groups=tuple(sorter.groups),
        unprunable=tuple(sorter.unprunable),
        weights=_weight_channels(
            weights, found, numbers, kept=_numbered(sorter.kept, merged, otherwise=-1), prunable=size
        ),
        layer_outputs=tuple(None if ids is None else numbers[ids] for ids in trace.layer_outputs()),
        calls=tuple(trace.calls),
        inputs=trace.inputs,
        weight_index=weight_index,
        settings=tuple(
            {name: map_counted(value, lambda ids: numbers[ids]) for name, value in stated.items()}
            for stated in trace.settings()
        ),
    )
    return groups, sorter.lost


def _numbered(numbers: Mapping[int, int], merged: Ids, *, otherwise: int) -> np.ndarray:
    """Returns the number of each identity's channel."""
    table = np.full(len(merged), otherwise)
    table[list(numbers)] = list(numbers.values())
    return table[merged]


def _weight_channels(
    weights: Sequence[keras.Variable], found: Propagation, numbers: np.ndarray, *, kept: np.ndarray, prunable: int
) -> tuple[WeightChannels, ...]:
    owners: dict[int, dict[int, Ids]] = {}
    for (variable, axis), ids in found.owners.items():
        owners.setdefault(variable, {})[axis] = ids
    return tuple(
        WeightChannels(
            weight.path,
            tuple(weight.shape),
            {axis: numbers[ids] for axis, ids in axes.items() if (numbers[ids] < prunable).any()},
            {axis: kept[ids] for axis, ids in axes.items()},
        )
        for weight in weights
        for axes in [owners.get(id(weight), {})]
    )


class _Sorter:
    """Numbers prunable channels group by group, and puts the others aside."""

    def __init__(
        self,
        weights: Sequence[keras.Variable],
        *,
        found: Propagation,
        reasons: Mapping[int, str],
        names: Mapping[int, str],
        notes: Mapping[int, Sequence[str]],
        weight_index: Mapping[int, int],
        excluded: frozenset[str],
    ):
        self._weights, self._reasons, self._names, self._notes = weights, reasons, names, notes
        self._gammas = {weight_index[gamma] for gamma in found.gammas}
        self._unscaled = {weight_index[norm] for norm in found.unscaled}
        self._feeders = {(weight_index[kernel], axis) for kernel, axis in found.feeders}
        self._blocked = {reason for _, reason in found.blocked}
        self._excluded = excluded
        self.taken: set[str] = set()
        self.groups: list[ChannelGroup] = []
        self.unprunable: list[UnprunableChannels] = []
        self.numbers: dict[int, int] = {}
        self.kept: dict[int, int] = {}
        self.lost: Counter[str] = Counter()

    def add(self, places: frozenset[tuple[int, int]], channels: Sequence[int]) -> None:
        """Takes the channels that index the same (weight, axis) pairs."""
        name = self._names.get(channels[0], "input")
        notes = tuple(dict.fromkeys(note for channel in channels for note in self._notes.get(channel, ())))
        ranked = tuple(sorted(weight for weight, _ in places if weight in self._gammas))
        unscaled = not ranked and any(weight in self._unscaled for weight, _ in places)
        kernels = tuple(sorted(places & self._feeders)) if unscaled else ()
        reason = next((self._reasons[channel] for channel in channels if channel in self._reasons), "")
        if reason or not (ranked or kernels):
            self._keep(UnprunableChannels(name, len(channels), reason or _UNRANKED, notes), channels)
            if (ranked or places & self._feeders) and reason in self._blocked:
                self.lost[reason] += len(channels)
            return
        unique = self._unique(name)
        if unique in self._excluded:
            self._keep(UnprunableChannels(unique, len(channels), "it was excluded by hand", notes), channels)
            return
        start = len(self.numbers)
        self.numbers.update({channel: start + position for position, channel in enumerate(channels)})
        layers = tuple(dict.fromkeys(self._weights[weight].path.rsplit("/", 1)[0] for weight, _ in sorted(places)))
        self.groups.append(ChannelGroup(unique, start, len(channels), layers, ranked, kernels, notes))

    def _keep(self, entry: UnprunableChannels, channels: Sequence[int]) -> None:
        self.kept.update(dict.fromkeys(channels, len(self.unprunable)))
        self.unprunable.append(entry)

    def _unique(self, name: str) -> str:
        unique, count = name, 1
        while unique in self.taken:
            count += 1
            unique = f"{name}_{count}"
        self.taken.add(unique)
        return unique


def _notes(found: Propagation, merged: Ids) -> dict[int, list[str]]:
    notes: dict[int, list[str]] = {}
    for ids, text in found.notes:
        for channel in np.unique(merged[ids]):
            notes.setdefault(int(channel), []).append(text)
    return notes


def _by_places(
    trace: GraphTrace, merged: Ids, weight_index: Mapping[int, int]
) -> dict[frozenset[tuple[int, int]], list[int]]:
    gathered: dict[frozenset[tuple[int, int]], list[int]] = {}
    for channel, places in sorted(trace.found.places(merged).items()):
        key = frozenset((weight_index[variable], axis) for variable, axis in places)
        gathered.setdefault(key, []).append(channel)
    return gathered


def _first_producers(trace: GraphTrace, merged: Ids) -> dict[int, str]:
    names: dict[int, str] = {}
    for name, ids in trace.producers:
        for channel in np.unique(merged[ids]):
            names.setdefault(int(channel), name)
    return names
