"""Channel groups: which channels of a functional model live or die together.

`find_channel_groups` runs the model's graph once, symbolically. Channels that meet in an element-wise merge, a
depthwise convolution or a BatchNorm are one channel; channels that index exactly the same axes of the same weights
form one group. The result is plain data: everything later (ranking, masks, costs, slicing) reads only it.
"""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import keras
import numpy as np

from ofar_tf.devices.full_float32 import full_float32
from ofar_tf.models.functional_graph import GraphCall
from ofar_tf.pruning.channel_group import ChannelGroup, UnprunableChannels
from ofar_tf.pruning.functional_model import check_functional
from ofar_tf.pruning.graph_trace import GraphTrace, trace_graph
from ofar_tf.pruning.group_sorter import GroupSorter
from ofar_tf.pruning.propagation import Flow, Ids, Propagation, Setting, map_counted
from ofar_tf.text.patterns import matches


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
        feeds: The axes along which the channels lie that the weight, a kernel, makes; along the others it reads them.
    """

    path: str
    shape: tuple[int, ...]
    axes: Mapping[int, np.ndarray]
    kept: Mapping[int, np.ndarray] = field(default_factory=dict)
    feeds: tuple[int, ...] = ()


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
        outside: Patterns of the names of layers that are neither pruned nor counted.
        tensors: Which channel each index of a tensor of `calls` belongs to, and on which axis, by the tensor's `id`;
            `size` marks an index that always stays.
    """

    groups: tuple[ChannelGroup, ...]
    unprunable: tuple[UnprunableChannels, ...]
    weights: tuple[WeightChannels, ...]
    layer_outputs: tuple[np.ndarray | None, ...]
    calls: tuple[GraphCall, ...]
    inputs: tuple[Any, ...]
    weight_index: Mapping[int, int]
    settings: tuple[Mapping[Setting, Any], ...] = ()
    outside: tuple[str, ...] = ()
    tensors: Mapping[int, Flow] = field(default_factory=dict)

    def is_outside(self, layer: str) -> bool:
        """Returns whether a layer of that name is neither pruned nor counted, see `find_channel_groups`."""
        return matches(layer, self.outside)

    @property
    def read_outside(self) -> list[ChannelGroup]:
        """The groups that layers outside read."""
        numbers = [ids for each in self.weights if self.is_outside(each.path) for ids in each.axes.values()]
        read = set(np.concatenate(numbers).tolist()) if numbers else set()
        return [group for group in self.groups if group.start in read]

    @cached_property
    def size(self) -> int:
        """How many prunable channels there are, over all groups."""
        return sum(group.size for group in self.groups)


@full_float32()
def find_channel_groups(
    model: keras.Model,
    *,
    prune_residual_stream: bool = False,
    excluded: Collection[str] = (),
    outside: Collection[str] = (),
) -> ChannelGroups:
    """Traces a functional model and returns its channel groups.

    For every layer that it cannot follow, and that costs channels of a kernel or a norm, it logs one warning. Where no
    BatchNorm ranks any channel, all that lie between two kernels can be pruned, ranked by their filters (DESIGN D13).

    Args:
        model: A functional Keras model, channels last. It is not changed.
        prune_residual_stream: Whether channels of sums and linear bottlenecks may be pruned too. Off by default: it is
            the reading that reproduces the paper's MACs (DESIGN D10).
        excluded: Names of groups that must not be pruned.
        outside: Patterns, as `detector_*`, of the names of layers behind the part of the model that is pruned: their
            own channels stay, and `Costs.macs` does not count them.

    Returns:
        The groups, and what cannot be pruned with reasons.

    Raises:
        ValueError: If the model is not functional, is channels-first, or has nothing that can be pruned, or if a group
            to exclude does not exist.
    """
    check_functional(model)
    trace = trace_graph(model, outside=tuple(sorted(outside)))
    groups, lost = _gather(trace, prune_residual_stream=prune_residual_stream, excluded=excluded)
    if not groups.groups:
        counted = Counter(entry.reason for entry in groups.unprunable)
        reasons = [reason for reason, _ in counted.most_common(3)]
        if any("residual stream" in reason for reason in reasons):
            reasons.append("prune_residual_stream would give more")
        raise ValueError(
            "Expected a model with channels that can be pruned. "
            f"Received: {model.name!r}, which has none ({'; '.join(reasons)})."
        )
    if not trace.found.unscaled and not any(group.gammas for group in groups.groups):
        logging.getLogger(__name__).warning(
            "No BatchNormalization ranks the channels of %s: the norms of their filters do.", model.name
        )
    for reason, channels in lost.items():
        why = f" It stays closed: {trace.found.obstacles[reason]}." if reason in trace.found.obstacles else ""
        logging.getLogger(__name__).warning("%s: %d channels cannot be pruned.%s", reason, channels, why)
    return groups


def _gather(
    trace: GraphTrace, *, prune_residual_stream: bool, excluded: Collection[str]
) -> tuple[ChannelGroups, Counter[str]]:
    """Makes groups of what the trace found, and counts by reason the rankable channels that a layer's rule lost."""
    found, weights = trace.found, trace.model.weights
    merged = found.merged()
    weight_index = {id(variable): index for index, variable in enumerate(weights)}
    make = partial(
        GroupSorter,
        weights,
        found=found,
        names=_first_producers(trace, merged),
        notes=_notes(found, merged),
        weight_index=weight_index,
        excluded=frozenset(excluded),
        outside=trace.outside,
    )
    by_places = _by_places(trace, merged, weight_index)
    # Where that leaves nothing: without a sum nothing runs past anything, and without a norm the kernels rank.
    through = prune_residual_stream or not found.stream
    for stream, by_kernels in ((prune_residual_stream, False), (through, False), (through, True)):
        reasons = found.reasons(merged, prune_residual_stream=stream)
        sorter = make(reasons=reasons, by_kernels=by_kernels).add_all(by_places)
        if sorter.taken:
            break
    unknown = sorted(set(excluded) - sorter.taken)
    if unknown:
        raise ValueError(f"Expected names of channel groups to exclude. Received: {unknown}, which do not exist.")
    return _sorted_groups(trace, sorter, merged, weight_index), sorter.lost


def _sorted_groups(
    trace: GraphTrace, sorter: GroupSorter, merged: Ids, weight_index: Mapping[int, int]
) -> ChannelGroups:
    """Says of everything in the graph which of the sorted channels it has."""
    size = len(sorter.numbers)
    numbers = _numbered(sorter.numbers, merged, otherwise=size)
    kept = _numbered(sorter.kept, merged, otherwise=-1)
    return ChannelGroups(
        groups=tuple(sorter.groups),
        unprunable=tuple(sorter.unprunable),
        weights=_weight_channels(trace.model.weights, trace.found, numbers, kept=kept, prunable=size),
        layer_outputs=tuple(None if ids is None else numbers[ids] for ids in trace.layer_outputs()),
        calls=tuple(trace.calls),
        inputs=trace.inputs,
        weight_index=weight_index,
        settings=tuple(
            {name: map_counted(value, lambda ids: numbers[ids]) for name, value in stated.items()}
            for stated in trace.settings()
        ),
        outside=trace.outside,
        tensors={key: Flow(numbers[known.ids], known.axis) for key, known in trace.tensors.items()},
    )


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
            tuple(sorted(axis for axis in axes if (id(weight), axis) in found.feeders)),
        )
        for weight in weights
        for axes in [owners.get(id(weight), {})]
    )


def _notes(found: Propagation, merged: Ids) -> dict[int, list[str]]:
    notes: dict[int, list[str]] = {}
    for ids, text in found.notes:
        for channel in np.unique(merged[ids]):
            notes.setdefault(int(channel), []).append(text)
    return notes


def _by_places(
    trace: GraphTrace, merged: Ids, weight_index: Mapping[int, int]
) -> dict[tuple[frozenset[tuple[int, int]], frozenset[int]], list[int]]:
    """Gathers channels that index the same axes of the same weights and are in the same pieces."""
    pieces: dict[int, set[int]] = {}
    for number, ids in enumerate(trace.found.pieces):
        for channel in np.unique(merged[ids]):
            pieces.setdefault(int(channel), set()).add(number)
    gathered: dict[tuple[frozenset[tuple[int, int]], frozenset[int]], list[int]] = {}
    for channel, places in sorted(trace.found.places(merged).items()):
        indexed = frozenset((weight_index[variable], axis) for variable, axis in places)
        gathered.setdefault((indexed, frozenset(pieces.get(channel, ()))), []).append(channel)
    return gathered


def _first_producers(trace: GraphTrace, merged: Ids) -> dict[int, str]:
    names: dict[int, str] = {}
    for name, ids in [*trace.producers, *trace.constants]:
        for channel in np.unique(merged[ids]):
            names.setdefault(int(channel), name)
    return names
