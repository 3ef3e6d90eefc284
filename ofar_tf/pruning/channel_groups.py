"""Channel groups: which channels of a functional model live or die together.

`find_channel_groups` runs the model's graph once, symbolically. Channels that meet in an element-wise merge, a
depthwise convolution or a BatchNorm are one channel; channels that index exactly the same axes of the same weights
form one group. The result is plain data: everything later (ranking, masks, costs, slicing) reads only it.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np

from ofar_tf.pruning.propagation import Channels, Propagation, is_activated, rule_for


@dataclass(frozen=True)
class ChannelGroup:
    """Channels with one decision each, which index the same axes of the same weights.

    Attributes:
        name: The layer that produces the channels first, unique among the groups of a model.
        start: Number of the group's first channel in the model-wide order of prunable channels.
        size: How many channels the group has.
        layers: Names of the layers whose weights the channels index.
        gammas: Positions in `model.weights` of the BatchNorm scales that rank the channels.
    """

    name: str
    start: int
    size: int
    layers: tuple[str, ...]
    gammas: tuple[int, ...]

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
    """

    name: str
    size: int
    reason: str


@dataclass(frozen=True)
class WeightChannels:
    """Which prunable channel each index of a weight belongs to.

    Attributes:
        path: The Keras path of the weight, for instance `block_1_expand/kernel`.
        shape: Its shape.
        axes: For each axis with prunable channels, int64 `[shape[axis]]`: the number of the channel at each index;
            `ChannelGroups.size` marks an index that always stays.
    """

    path: str
    shape: tuple[int, ...]
    axes: Mapping[int, np.ndarray]


@dataclass(frozen=True)
class LayerCall:
    """One call of a layer in the traced graph, with what it takes to repeat its shape inference.

    Attributes:
        operation: The layer (of the traced copy of the model) or Keras operation.
        args: Its positional arguments, Keras tensors included.
        kwargs: Its keyword arguments.
        outputs: What it returned.
    """

    operation: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: Any


@dataclass(frozen=True)
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
    """

    groups: tuple[ChannelGroup, ...]
    unprunable: tuple[UnprunableChannels, ...]
    weights: tuple[WeightChannels, ...]
    layer_outputs: tuple[np.ndarray | None, ...]
    calls: tuple[LayerCall, ...]
    inputs: tuple[Any, ...]
    weight_index: Mapping[int, int]

    @cached_property
    def size(self) -> int:
        """How many prunable channels there are, over all groups."""
        return sum(group.size for group in self.groups)


def flat_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yields the layers of a model, nested models included and opened, in a fixed order."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from flat_layers(layer)


def find_channel_groups(model: keras.Model, *, prune_residual_stream: bool = False) -> ChannelGroups:
    """Traces a functional model and returns its channel groups.

    Args:
        model: A functional Keras model, channels last. It is not changed.
        prune_residual_stream: Whether channels of sums and linear bottlenecks may be pruned too. Off by default: it is
            the reading that reproduces the paper's MACs (DESIGN D10).

    Returns:
        The groups, and what cannot be pruned with reasons.

    Raises:
        ValueError: If the model is not functional, is channels-first, or has nothing that can be pruned.
    """
    _check_model(model)
    tracer = _Tracer(keras.models.clone_model(model))
    tracer.run()
    groups = tracer.result(prune_residual_stream=prune_residual_stream)
    if not groups.groups:
        reasons = "; ".join(sorted({f"{entry.name}: {entry.reason}" for entry in groups.unprunable})[:3])
        raise ValueError(
            "Expected a model with channels that a BatchNormalization with scale can rank. "
            f"Received: {model.name!r}, which has none ({reasons})."
        )
    return groups


def _check_model(model: keras.Model) -> None:
    functional = isinstance(model, keras.Model) and getattr(model, "inputs", None) and hasattr(model, "get_layer")
    if not functional or isinstance(model, keras.Sequential) or type(model).__name__ != "Functional":
        raise ValueError(
            "Expected a functional Keras model, built as keras.Model(inputs, outputs). "
            f"Received: {type(model).__name__}."
        )
    first = next((layer for layer in flat_layers(model) if _channels_first(layer)), None)
    if first is not None:
        raise ValueError(f"Expected layers with data_format='channels_last'. Received: {first.name!r}, channels_first.")


def _channels_first(layer: keras.layers.Layer) -> bool:
    return getattr(layer, "data_format", "channels_last") == "channels_first"


class _Tracer:
    """Runs the graph of a throw-away copy of the model and collects what the rules find."""

    def __init__(self, model: keras.Model):
        self.model = model
        self.found = Propagation()
        self.tensors: dict[int, Channels] = {}
        self.calls: list[LayerCall] = []
        self.outputs: dict[int, np.ndarray] = {}
        self.producers: list[tuple[str, np.ndarray]] = []

    def run(self) -> None:
        inputs = keras.tree.flatten(self.model.inputs)
        for tensor in inputs:
            self._note(tensor, self.found.new(tensor.shape[-1]), activated=True)
            self.found.fix(self.tensors[id(tensor)].ids, "it is an input of the model")
        self.inputs = tuple(inputs)
        outputs = self._trace(self.model, self.model.input)
        for tensor in keras.tree.flatten(outputs):
            self.found.fix(self.tensors[id(tensor)].ids, "it is an output of the model")

    def _trace(self, model: keras.Model, inputs: Any) -> Any:
        # The copy's layers are called as they are (identity clone_function): nobody else will ever use them.
        traced = keras.models.clone_model(
            keras.Model(model.inputs, model.outputs) if isinstance(model, keras.Sequential) else model,
            input_tensors=inputs,
            clone_function=lambda layer: layer,
            call_function=self._call,
        )
        return traced.output

    def _call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(operation, keras.Model):
            return self._trace(operation, args[0])
        outputs = operation(*args, **kwargs)
        self.calls.append(LayerCall(operation, args, kwargs, outputs))
        leaves = keras.tree.flatten((args, kwargs))
        inputs = [self.tensors[id(leaf)] for leaf in leaves if id(leaf) in self.tensors]
        constants = [leaf for leaf in leaves if id(leaf) not in self.tensors and np.ndim(leaf) > 0]
        ids = self._propagate(operation, inputs, outputs, constants)
        for tensor in keras.tree.flatten(outputs):
            self._note(tensor, ids, activated=is_activated(operation, inputs))
        self.outputs.setdefault(id(operation), ids)
        return outputs

    def _propagate(
        self, operation: Any, inputs: Sequence[Channels], outputs: Any, constants: Sequence[Any]
    ) -> np.ndarray:
        rule, flat = rule_for(operation), keras.tree.flatten(outputs)
        first = self.found.count
        try:
            if rule is None or len(flat) != 1 or constants:
                raise NotImplementedError("the library has no rule for this layer")
            ids = rule(self.found, operation, inputs, flat[0].shape)
        except NotImplementedError as error:
            for tensor in inputs:
                self.found.fix(tensor.ids, f"{type(operation).__name__} {operation.name!r} touches it: {error}")
            ids = self.found.new(flat[0].shape[-1] or 1)
            self.found.fix(ids, f"{type(operation).__name__} {operation.name!r} makes it: {error}")
        if self.found.count > first:
            self.producers.append((operation.name, np.arange(first, self.found.count)))
        return ids

    def _note(self, tensor: Any, ids: np.ndarray, *, activated: bool) -> None:
        self.tensors[id(tensor)] = Channels(ids, tuple(tensor.shape), activated)

    def result(self, *, prune_residual_stream: bool) -> ChannelGroups:
        found = self.found
        channel = _merge_ties(found)
        weights = self.model.weights
        weight_index = {id(variable): index for index, variable in enumerate(weights)}
        reasons = _reasons(found, channel, prune_residual_stream=prune_residual_stream)
        producer = _producers(self.producers, channel)
        groups, unprunable, number = _number_groups(
            _signatures(found, channel, weight_index),
            weights=weights,
            gammas={weight_index[gamma] for gamma in found.gammas},
            reasons=reasons,
            producer=producer,
        )
        size = sum(group.size for group in groups)
        renumber = np.full(found.count, size)
        for identity, index in number.items():
            renumber[identity] = index
        axes: dict[int, dict[int, np.ndarray]] = defaultdict(dict)
        for (variable, axis), ids in found.owners.items():
            numbers = renumber[channel[ids]]
            if (numbers < size).any():
                axes[weight_index[variable]][axis] = numbers
        return ChannelGroups(
            groups=tuple(groups),
            unprunable=tuple(unprunable),
            weights=tuple(WeightChannels(w.path, tuple(w.shape), axes[i]) for i, w in enumerate(weights)),
            layer_outputs=tuple(
                renumber[channel[self.outputs[id(layer)]]] if id(layer) in self.outputs else None
                for layer in flat_layers(self.model)
            ),
            calls=tuple(self.calls),
            inputs=self.inputs,
            weight_index=weight_index,
        )


def _merge_ties(found: Propagation) -> np.ndarray:
    """Maps each identity to the smallest identity it is tied to."""
    label = np.arange(found.count)
    if not found.ties:
        return label
    first = np.concatenate([pair[0] for pair in found.ties])
    second = np.concatenate([pair[1] for pair in found.ties])
    while True:
        previous = label.copy()
        smallest = np.minimum(label[first], label[second])
        np.minimum.at(label, first, smallest)
        np.minimum.at(label, second, smallest)
        label = label[label]
        if (label == previous).all():
            return label


def _reasons(found: Propagation, channel: np.ndarray, *, prune_residual_stream: bool) -> dict[int, str]:
    reasons: dict[int, str] = {}
    fixed = found.fixed
    if not prune_residual_stream:
        fixed = [*fixed, *((ids, "it is part of the residual stream") for ids in found.stream)]
    for ids, reason in fixed:
        for identity in np.unique(channel[ids]):
            reasons.setdefault(int(identity), reason)
    return reasons


def _producers(producers: Sequence[tuple[str, np.ndarray]], channel: np.ndarray) -> dict[int, str]:
    names: dict[int, str] = {}
    for name, ids in producers:
        for identity in np.unique(channel[ids]):
            names.setdefault(int(identity), name)
    return names


def _signatures(
    found: Propagation, channel: np.ndarray, weight_index: Mapping[int, int]
) -> dict[frozenset[tuple[int, int]], list[int]]:
    """Gathers the channels that index the same set of (weight, axis)."""
    places: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for (variable, axis), ids in found.owners.items():
        for identity in np.unique(channel[ids]):
            places[int(identity)].add((weight_index[variable], axis))
    gathered: dict[frozenset[tuple[int, int]], list[int]] = defaultdict(list)
    for identity in sorted(places):
        gathered[frozenset(places[identity])].append(identity)
    return gathered


def _number_groups(
    signatures: Mapping[frozenset[tuple[int, int]], list[int]],
    *,
    weights: Sequence[keras.Variable],
    gammas: set[int],
    reasons: Mapping[int, str],
    producer: Mapping[int, str],
) -> tuple[list[ChannelGroup], list[UnprunableChannels], dict[int, int]]:
    """Splits the gathered channels into prunable groups, numbered without gaps, and the rest."""
    groups: list[ChannelGroup] = []
    unprunable: list[UnprunableChannels] = []
    number: dict[int, int] = {}
    names: dict[str, int] = defaultdict(int)
    for places, members in signatures.items():
        name = producer.get(members[0], "input")
        ranked = tuple(sorted(weight for weight, _ in places if weight in gammas))
        reason = next((reasons[m] for m in members if m in reasons), "" if ranked else "no BatchNormalization ranks it")
        if reason:
            unprunable.append(UnprunableChannels(name, len(members), reason))
            continue
        names[name] += 1
        layers = tuple(dict.fromkeys(weights[weight].path.rsplit("/", 1)[0] for weight, _ in sorted(places)))
        start = len(number)
        number.update({identity: start + position for position, identity in enumerate(members)})
        unique = name if names[name] == 1 else f"{name}_{names[name]}"
        groups.append(ChannelGroup(unique, start, len(members), layers, ranked))
    return groups, unprunable, number
