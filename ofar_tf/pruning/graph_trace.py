"""One symbolic run of a model's graph, during which the layer rules follow the channels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from ofar_tf.models.functional_graph import GraphCall, flat_layers, is_functional, replay
from ofar_tf.models.layer_copy import copy_of, copying
from ofar_tf.models.opening import is_closed, obstacle
from ofar_tf.pruning.call import Call
from ofar_tf.pruning.functional_model import input_layers
from ofar_tf.pruning.layer_rules import bends, is_constant, is_product, picks_extremes, rule_for
from ofar_tf.pruning.lineage import Descent, Lineage, descend, without
from ofar_tf.pruning.narrowing import flat_operations
from ofar_tf.pruning.propagation import Channels, Flow, Ids, Propagation, Setting
from ofar_tf.pruning.trials import tried_once
from ofar_tf.text.patterns import matches


@dataclass(eq=False)
class GraphTrace:
    """What one run found.

    Attributes:
        model: The traced copy; its weights hold no values.
        outside: Patterns of the names of layers that are neither pruned nor counted.
        found: What the rules found out about its channels.
        calls: The layer calls in execution order. They keep the traced tensors alive, whose `id`s are keys.
        tensors: What is known of each tensor, by `id`.
        outputs: The channels that leave each layer or operation, by `id`; at its first call, if it is shared.
        producers: The names of layers with the channels they are the first to have.
        constants: The same of layers that give the same for all images.
    """

    model: keras.Model
    outside: tuple[str, ...] = ()
    found: Propagation = field(default_factory=Propagation)
    calls: list[GraphCall] = field(default_factory=list)
    tensors: dict[int, Channels] = field(default_factory=dict)
    outputs: dict[int, Ids] = field(default_factory=dict)
    producers: list[tuple[str, Ids]] = field(default_factory=list)
    constants: list[tuple[str, Ids]] = field(default_factory=list)

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The Keras tensors the graph starts from."""
        return tuple(self.model.inputs)

    def layer_outputs(self) -> list[Ids | None]:
        """Returns the channels that leave each of `flat_layers`, `None` where that is not known."""
        return [self.outputs.get(id(layer)) for layer in flat_layers(self.model)]

    def settings(self) -> list[dict[Setting, Any]]:
        """Returns what each of `flat_operations` states of its channels, as `Propagation.state` was told."""
        return [self.found.stated.get(id(operation), {}) for operation in flat_operations(self.model)]

    def run(self, model: keras.Model, inputs: Sequence[Any]) -> Sequence[Any]:
        """Calls every layer of the copy, or of a model nested in it, and notes what comes out.

        Args:
            model: The copy, or a model in it.
            inputs: Fresh Keras inputs, already known to the trace, in the order of `model.inputs`.

        Returns:
            The output tensors, in the order of `model.outputs`.
        """
        return replay(model, inputs, call=self._call).outputs

    def _run_nested(self, model: keras.Model, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Opens a nested model: its own run takes over the channels of the arguments and hands its own back."""
        outer = keras.tree.flatten(args[0])
        inner = [keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype) for tensor in outer]
        for source, target in zip(outer, inner, strict=True):
            self._alias(source, target)
        if not isinstance(model, keras.Sequential):
            for layer, tensor in zip(input_layers(model), inner, strict=True):
                known = self.tensors[id(tensor)]
                shape = list(tensor.shape)
                shape[known.axis] = known.ids
                self.found.state(layer, "batch_shape", tuple(shape))
        results = self.run(model, inner)
        outputs = model(*args, **kwargs)
        for source, target in zip(results, keras.tree.flatten(outputs), strict=True):
            self._alias(source, target)
        return outputs

    def _alias(self, source: Any, target: Any) -> None:
        self.tensors[id(target)] = self.tensors[id(source)]
        self.calls.append(GraphCall(keras.layers.Identity(), (source,), {}, target))

    def _call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        if is_functional(operation):
            return self._run_nested(operation, args, kwargs)
        outputs = operation(*args, **kwargs)
        self.calls.append(GraphCall(operation, args, kwargs, outputs))
        leaves, flat = keras.tree.flatten((args, kwargs)), keras.tree.flatten(outputs)
        inputs = [self.tensors[id(leaf)] for leaf in leaves if id(leaf) in self.tensors]
        call = Call(
            operation,
            inputs,
            args,
            [tuple(tensor.shape) for tensor in flat],
            kwargs,
            {id(leaf): self.tensors[id(leaf)] for leaf in leaves if id(leaf) in self.tensors},
        )
        constants = any(np.size(leaf) > 1 for leaf in leaves if id(leaf) not in self.tensors)
        count, streams = self.found.count, len(self.found.stream)
        try:
            flows = self._follow(call, constants=constants)
        except NotImplementedError as error:
            flows = self._lose(call, reason=f"{call.title} {error}")
        if matches(operation.name, self.outside):  # What joins several outputs of the body is no stream of its own.
            del self.found.stream[streams:]
        for tensor, flow in zip(flat, flows, strict=True):
            self._note(call, tensor, flow)
        self.outputs.setdefault(id(operation), flows[0].ids)
        named = self.constants if is_constant(call) else self.producers
        named.append((operation.name, np.arange(count, self.found.count)))
        return outputs

    def _note(self, call: Call, tensor: Any, flow: Flow) -> None:
        """Keeps what is known of a new tensor."""
        entered = np.concatenate([known.ids for known in call.inputs]) if call.inputs else np.zeros(0, int)
        renewed = not np.isin(flow.ids, entered).any()
        is_bent = bends(call)
        images = [known for known in call.inputs if not known.is_constant]
        parents = [_left(known, flow.ids) for known in images]
        lineage: Lineage = {}
        if not is_constant(call):
            lineage = descend(parents, is_product=is_product(call), kernels=int(renewed), bends=is_bent)
            lineage[len(self.tensors)] = Descent(flow.ids)
        before = [known.dropped for known in call.inputs] or [np.zeros(1)]
        self.tensors[id(tensor)] = Channels(
            flow.ids,
            flow.axis,
            shape=tuple(tensor.shape),
            activated=is_bent or picks_extremes(call) or (not renewed and any(each.activated for each in images)),
            dropped=flow.dropped if isinstance(flow, Channels) else np.unique(np.concatenate(before)),
            lineage=lineage,
        )

    def _follow(self, call: Call, *, constants: bool) -> Sequence[Flow]:
        rule = rule_for(call.layer)
        if rule is None or constants or not call.inputs:
            raise NotImplementedError("is unknown to the library")
        flows = rule(self.found, call)
        sizes = [shape[flow.axis] for shape, flow in zip(call.shapes, flows, strict=True)]
        if sizes != [len(flow.ids) for flow in flows]:
            raise NotImplementedError("changes the number of channels")
        return flows

    def _lose(self, call: Call, *, reason: str) -> list[Flow]:
        """Gives up on a layer: its input stays, and so does whatever comes out of it."""
        flows = [Flow(self.found.new((shape[-1] if shape else None) or 1)) for shape in call.shapes]
        why = tried_once(call, _obstacle) if is_closed(call.layer) else None
        for ids in [each.ids for each in (*call.inputs, *flows)]:
            self.found.block(ids, reason)
            if why:
                self.found.note(ids, f"{call.title} stays closed: {why}")
        if why:
            self.found.obstacles[reason] = why
        return flows


def _obstacle(call: Call) -> str:
    return obstacle(copy_of(call.layer), call.args, call.kwargs)


def _left(known: Channels, ids: Ids) -> Lineage:
    """Returns the ancestors of what an operation took over of a tensor: all, unless it cut some of the channels off."""
    if known.ids is ids:
        return known.lineage
    taken = np.isin(known.ids, ids)
    return without(known.lineage, known.ids[~taken]) if taken.any() else known.lineage


def trace_graph(model: keras.Model, *, outside: tuple[str, ...] = ()) -> GraphTrace:
    """Runs the graph of a throw-away copy of a functional model.

    Args:
        model: The model, which is not changed. Its layers must be known by their configuration, as for saving.
        outside: Patterns of the names of layers that are neither pruned nor counted.

    Returns:
        What was found.
    """
    # In this scope neither the copy's weights nor those of anything in it are allocated.
    with copying(model), keras.StatelessScope(initialize_variables=False):
        trace = GraphTrace(keras.models.clone_model(model, clone_function=copy_of, recursive=True), outside)
        for tensor in trace.inputs:
            ids = trace.found.new(tensor.shape[-1] or 1)
            trace.found.fix(ids, "it is an input of the model")
            trace.producers.append(("input", ids))
            lineage = {len(trace.tensors): Descent(ids)}
            trace.tensors[id(tensor)] = Channels(ids, shape=tuple(tensor.shape), activated=True, lineage=lineage)
        for tensor in trace.run(trace.model, trace.inputs):
            trace.found.fix(trace.tensors[id(tensor)].ids, "it is an output of the model")
    return trace
