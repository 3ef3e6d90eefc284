"""Graphs of one layer of the user's, as it trains and as it infers: whether they are one graph."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from ofar_tf.models.functional_graph import Graph, GraphCall, is_stock, takes_training

_UNKNOWN_SIZE = 8


def is_one(graphs: Sequence[Graph]) -> bool:
    """Returns whether a layer does the same whether it trains or not, but for what the layers inside do.

    Layers that are called in training alone (`if training: x = self.dropout(x)`) make no difference if they give in
    inference what they get.

    Args:
        graphs: What its `call` left where it was not told whether it trains, where it trains, and in inference.
    """
    undecided, training, inference = (_steps(graph) for graph in graphs)
    if len({len(steps) for steps in (undecided, training, inference)}) > 1:
        undecided, training, inference = (_steps(graph, idle=True) for graph in graphs)
    same = len({len(steps) for steps in (undecided, training, inference)}) == 1
    return same and all(_agree(*each) for each in zip(undecided, training, inference, strict=True))


def _steps(graph: Graph, *, idle: bool = False) -> list[tuple[Any, list[Any], Any]]:
    """Lists of each call what is called, on what but for `training`, and that.

    Args:
        graph: The graph.
        idle: Whether to leave out what does nothing in inference.
    """
    numbers = {id(tensor): f"tensor {number}" for number, tensor in enumerate(graph.inputs)}
    steps = []
    for call in graph.calls:
        operation = call.operation
        if idle and _is_idle(call):
            numbers[id(call.outputs)] = numbers[id(call.args[0])]
            continue
        given = {name: value for name, value in call.kwargs.items() if name != "training"}
        leaves = [numbers.get(id(leaf), leaf) for leaf in keras.tree.flatten((call.args, given))]
        steps.append((_identity(operation), leaves, call.kwargs.get("training")))
        made = enumerate(keras.tree.flatten(call.outputs))
        numbers |= {id(tensor): f"tensor {number} of step {len(steps)}" for number, tensor in made}
    outputs = [numbers.get(id(tensor)) for tensor in graph.outputs]
    return [*steps, ("outputs", outputs, None)]


def is_idle(layer: Any, given: Sequence[int | None], made: Sequence[int | None]) -> bool:
    """Returns whether a layer without weights gives in inference what it gets, as dropout and random images do.

    Args:
        layer: Anything that is called in a graph.
        given: Shape of the tensor that it gets there, the batch first.
        made: Shape of what it gives there.
    """
    if not isinstance(layer, keras.layers.Layer) or layer.weights or not takes_training(layer):
        return False
    random, shape = np.random.default_rng(0), [2, *(size or _UNKNOWN_SIZE for size in given[1:])]
    # Small and large, so that no limit is missed, and the same in all number formats.
    values = (random.integers(-9, 9, shape) * 2.0 ** random.integers(-8, 12, shape)).astype("float32")
    return tuple(given) == tuple(made) and np.array_equal(layer(values, training=False), values)


def _is_idle(call: GraphCall) -> bool:
    told = {name for name, value in call.kwargs.items() if value is not None}
    if len(call.args) != 1 or told - {"training"} or not isinstance(call.args[0], keras.KerasTensor):
        return False
    return is_idle(call.operation, call.args[0].shape, call.outputs.shape)


def _identity(operation: Any) -> Any:
    """Returns what two calls have in common that do the same: the layer, or kind and settings of what has no weights.

    Such layers may be made anew by each call, as `keras.layers.add` makes one.
    """
    if isinstance(operation, keras.layers.Layer):
        if operation.variables or not is_stock(operation):
            return id(operation)
        settings = operation.get_config()
    else:
        settings = {name: value for name, value in vars(operation).items() if not name.startswith("_")}
    return type(operation), repr({name: value for name, value in settings.items() if name != "name"})


def _agree(undecided: Any, training: Any, inference: Any) -> bool:
    told = [step[2] for step in (undecided, training, inference)]
    if told[1:] != [True, False] and len(set(told)) > 1:
        return False
    return all(
        step[0] == undecided[0]
        and len(step[1]) == len(undecided[1])
        and all(_equal(*pair) for pair in zip(step[1], undecided[1], strict=True))
        for step in (training, inference)
    )


def _equal(one: Any, other: Any) -> bool:
    if one is other or type(one) is not type(other):
        return one is other
    return bool(np.all(np.asarray(one == other)))
