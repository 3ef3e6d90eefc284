"""Weights that a layer of the user's uses itself, of which a graph of the layers that it calls says nothing."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from ofar_tf.models.functional_graph import Graph
from ofar_tf.models.held_weights import name_of
from ofar_tf.models.obstacles import ClosedLayerError
from ofar_tf.models.tensorflow_graph import touches


def check_weights(layer: Any, graph: Graph, *, runs: Sequence[Callable[..., Any]]) -> None:
    """Raises an error unless a graph has all weights of a layer but those of which its `call` makes nothing.

    Args:
        layer: The layer.
        graph: What its `call` left.
        runs: Its `call` on the tensors that the graph starts from, as it trains and as it infers.

    Raises:
        ClosedLayerError: If it has not.
    """
    own = {id(variable) for variable in layer.variables}
    called = [call.operation for call in graph.calls if isinstance(call.operation, keras.layers.Layer)]
    strange = [each.name for each in called if any(id(variable) not in own for variable in each.variables)]
    if strange:
        raise ClosedLayerError(f"its call uses layer {strange[0]!r}, which is no attribute of it")
    if layer.activity_regularizer is not None:
        raise ClosedLayerError("its activity_regularizer is in no layer that it calls")
    check_unused(layer, graph.inputs, within=called, runs=runs)


def check_unused(
    layer: Any, tensors: Sequence[Any], *, within: Sequence[Any], runs: Sequence[Callable[..., Any]]
) -> None:
    """Raises an error if the `call` of a layer makes something of weights that are in none of some layers.

    Args:
        layer: The layer.
        tensors: Keras tensors that it can be called on.
        within: The layers whose weights it may use.
        runs: Its `call` on such tensors, as it trains and as it infers.

    Raises:
        ClosedLayerError: If it does.
    """
    inside = {id(variable) for each in within for variable in each.variables}
    others = [variable for variable in layer.variables if id(variable) not in inside]
    if not others or not any(touches(run, tensors, others) for run in runs):
        return
    used = next(each for each in others if any(touches(run, tensors, [each]) for run in runs))
    if used.name == "seed_generator_state":
        raise ClosedLayerError("its call draws random numbers")
    raise ClosedLayerError(f"its call itself uses weight {name_of(used, layer)!r}, which no layer inside applies")
