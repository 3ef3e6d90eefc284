"""Layers and models of the user's that consist of other layers, opened: what their `call` does becomes a graph.

Most people write their blocks, and many their whole networks, as classes with a `call`. Run once on symbolic tensors it
leaves the layers and operations that it applies, which can be traced, pruned and exported like all others. A layer is
opened only where that says all that it does: the weights that it uses are those of the layers inside, or can be held by
others (`held_weights`), it does the same in training and in inference but for what these do, it draws no random
numbers, and the graph gives the numbers that the layer gave.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np

from ofar_tf.devices.full_float32 import full_float32
from ofar_tf.models.free_reshape import free_reshape, is_free_reshape
from ofar_tf.models.functional_graph import (
    graph_of,
    inner_layers,
    is_functional,
    is_stock,
    replay,
    takes_training,
)
from ofar_tf.models.held_weights import OwnWeight, held_by
from ofar_tf.models.obstacles import ClosedLayerError, Obstacle, first_obstacle
from ofar_tf.models.own_weights import check_unused, check_weights
from ofar_tf.models.tensorflow_graph import free_variables, run_in_tensorflow
from ofar_tf.models.training_graphs import is_one

_Caller = Callable[[Callable[..., Any], Sequence[Any]], Any]  # Calls a function on Keras tensors, or as if on these.
_MAKING = ("__init__", "get_config", "from_config")
_UNKNOWN_SIZE = 16  # Of the maps that a layer is tried on whose size is not known.


def opened(layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> keras.Model | None:
    """Makes a graph of what a layer of the user's does, of the very layers inside of it.

    Args:
        layer: Any layer or operation.
        args: The positional arguments of a call of it, Keras tensors included.
        kwargs: Its keyword arguments.

    Returns:
        A functional model that computes the same on `tensors_of(args, kwargs)`. `None` for a layer of Keras' own, but
        for Lambda and TimeDistributed, and where the graph would not say all.
    """
    return _attempted(layer, args, kwargs)[0] if is_closed(layer) else None


def obstacle(layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Says why `opened` does not open a layer of the user's.

    Args:
        layer: Any layer or operation; one that was never called is built.
        args: The positional arguments of a call of it, Keras tensors included.
        kwargs: Its keyword arguments.

    Returns:
        A clause such as `its call draws random numbers`; empty where it opens the layer, and for layers that
        are not of a kind to be opened.
    """
    if not is_closed(layer):
        return ""
    graph, obstacles = _attempted(layer, args, kwargs)
    return _first_of(obstacles, layer, args, kwargs) if graph is None else ""


def _attempted(
    layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[keras.Model | None, Sequence[Obstacle]]:
    """Returns the graph of a layer; `None` where it cannot be opened, and what each attempt ended with."""
    kwargs = {name: value for name, value in kwargs.items() if name != "training"}
    attempts = [_run_symbolically, _run_in_tensorflow, _shuffled]
    if type(layer) is keras.layers.TimeDistributed:
        attempts = [_at_each_step]
    obstacles: list[Obstacle] = []
    if not layer.built:
        with contextlib.suppress(Exception):  # What it raises is told by the attempts.
            layer(*args, **kwargs)
    for attempt in attempts:
        try:
            graph = attempt(layer, args, kwargs)
            if _gives_the_same(layer, graph, args, kwargs):
                return graph, ()
            raise ClosedLayerError("the graph of its call gives other numbers")
        except Exception as error:  # The user's code may raise anything on symbolic tensors; the layer stays as it is.
            obstacles.append(Obstacle.of(error, layer))
    return None, obstacles[:2]  # The last attempt only tells channels by their numbers, and has nothing to tell.


def _first_of(obstacles: Sequence[Obstacle], layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Returns what is to be told of a layer that stays closed."""
    kwargs = {name: value for name, value in kwargs.items() if name != "training"}
    try:
        within = [each for each in inner_layers(layer) if each is not layer]
        check_unused(layer, tensors_of(args, kwargs), within=within, runs=_runs(layer, args, kwargs))
    except Exception as error:
        obstacles = [Obstacle.of(error, layer), *obstacles]
    return first_obstacle(obstacles)


def opened_model(model: Any) -> keras.Model:
    """Makes a functional model of one that has only a `call`.

    Args:
        model: A model that is not functional. One that was never built gets images of any size.

    Returns:
        A functional model of the same layers.

    Raises:
        ClosedLayerError: Where `opened` does not open it, or it does not take one tensor of a known shape.
    """
    shape: Any = (None, None, None, 3)
    if len(getattr(model, "inputs", None) or ()) == 1:
        shape = model.inputs[0].shape
    elif model.built:
        shape = (model.get_build_config() or {}).get("input_shape")
    if not isinstance(shape, (tuple, list)) or any(not isinstance(size, (int, type(None))) for size in shape):
        raise ClosedLayerError("it takes something else than one tensor of images")
    image = keras.Input(batch_shape=(None, *shape[1:]), name="images")
    graph, obstacles = _attempted(model, (image,), {})
    if graph is None:
        raise ClosedLayerError(_first_of(obstacles, model, (image,), {}))
    return keras.Model(graph.inputs, graph.outputs, name=model.name)


def is_closed(layer: Any) -> bool:
    """Returns whether a layer is of a kind that can be opened perhaps: a class of the user's, or of two of Keras'."""
    if not isinstance(layer, keras.layers.Layer) or is_functional(layer):
        return False
    return not is_stock(layer) or type(layer) in (keras.layers.Lambda, keras.layers.TimeDistributed)


def stock_kind(layer: Any) -> Any:
    """Returns the class of Keras' whose layer a layer of the user's is, if it only says how that one is made."""
    for kind in type(layer).__mro__:
        if kind.__module__.startswith("keras.src."):
            return kind if kind is not type(layer) and kind is not keras.layers.Layer else None
        if any(name not in _MAKING and _is_behaviour(name, value) for name, value in vars(kind).items()):
            return None
    return None


def _is_behaviour(name: str, value: Any) -> bool:
    return name == "__call__" or (not name.startswith("__") and (callable(value) or hasattr(value, "__get__")))


def tensors_of(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """Lists the Keras tensors among the arguments of a call, each once."""
    leaves = keras.tree.flatten((tuple(args), dict(kwargs)))
    return list({id(leaf): leaf for leaf in leaves if isinstance(leaf, keras.KerasTensor)}.values())


def _run_symbolically(layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> keras.Model:
    return _run(layer, args, kwargs, call=lambda function, tensors: function(*tensors))


def _run_in_tensorflow(layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> keras.Model:
    inside = [each for each in inner_layers(layer) if each is not layer]
    if not all(each.built for each in inside):
        layer(*args, **kwargs)  # Builds them where no graph of TensorFlow's is made.
    call = partial(run_in_tensorflow, inside=inside, own=held_by(layer), free=free_variables(layer))
    return _run(layer, args, kwargs, call=call)


def _run(layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any], *, call: _Caller) -> keras.Model:
    models = [_traced(layer, args, kwargs, training=training, call=call) for training in (None, True, False)]
    graphs = [graph_of(model) for model in models]
    most = int(len(graphs[1].calls) > len(graphs[0].calls))  # That of training has what is called there alone.
    check_weights(layer, graphs[most], runs=_runs(layer, args, kwargs))
    if not is_one(graphs):
        again = graph_of(_traced(layer, args, kwargs, training=False, call=call))
        if not is_one([again, again, graphs[2]]):
            raise ClosedLayerError("its call gives other numbers each time")
        raise ClosedLayerError("its call does something else in training than in inference")
    return replay(models[1], models[1].inputs, call=_as_told) if most else models[0]


def _as_told(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Calls a layer of a graph that was made for training, which is now to train where the graph is told to."""
    return operation(*args, **{name: value for name, value in kwargs.items() if (name, value) != ("training", True)})


def _at_each_step(layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> keras.Model:
    """Takes a dense layer out of TimeDistributed: it works on the last axis at every step as it is."""
    if type(layer.layer) is not keras.layers.Dense or kwargs.get("mask") is not None:
        raise ClosedLayerError("it applies another layer than Dense, or takes a mask")
    image = keras.Input(batch_shape=args[0].shape, dtype=args[0].dtype)
    return keras.Model(image, layer.layer(image))


def _shuffled(layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> keras.Model:
    """Says by their numbers what channels a layer without weights gives, where it gives nothing but some of its own.

    So does the usual shuffle of channels, whose reshapes to sizes of any image no graph of Keras' can hold.
    """
    (tensor,) = tensors_of(args, kwargs)
    if layer.variables or any(value is not None for value in kwargs.values()) or len(args) > 1:
        raise ClosedLayerError("it has weights, or is told more than one tensor")
    values = _numbers(tensor, np.random.default_rng(1))
    told = [{"training": flag} for flag in (True, False)] if takes_training(layer) else [{}]
    given = [np.asarray(layer(values, **each)) for each in told]
    before, after = (np.moveaxis(np.asarray(each), -1, 0) for each in (values, given[0]))
    channels = [next(iter(np.flatnonzero((before == one).reshape(len(before), -1).all(axis=1)))) for one in after]
    if not all((each == given[0]).all() for each in given):
        raise ClosedLayerError("its call does something else in training than in inference")
    image = keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype)
    return keras.Model(image, keras.ops.take(image, [int(number) for number in channels], axis=-1))


def _traced(
    layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any], *, training: bool | None, call: _Caller
) -> keras.Model:
    inputs = [keras.Input(batch_shape=each.shape, dtype=each.dtype) for each in tensors_of(args, kwargs)]
    outputs = call(partial(_called, layer, args, kwargs, training=training), inputs)
    _name_apart(outputs, layer)
    graph = keras.Model(_alone(inputs), outputs)
    return replay(graph, graph.inputs, call=_call) if any(map(is_free_reshape, graph.operations)) else graph


def _called(layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any], *tensors: Any, training: bool | None) -> Any:
    """Runs what a layer does in a call, on other tensors."""
    positional, named = _with(args, kwargs, tensors_of(args, kwargs), tensors)
    return layer.call(*positional, **({**named, "training": training} if takes_training(layer) else named))


def _runs(layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Callable[..., Any]]:
    """Its `call` on other tensors, as it trains and as it infers."""
    return [partial(_called, layer, args, kwargs, training=training) for training in (True, False)]


def _with(args: Sequence[Any], kwargs: Mapping[str, Any], tensors: Sequence[Any], others: Sequence[Any]) -> Any:
    """The arguments of a call, on other tensors."""
    known = dict(zip(map(id, tensors), others, strict=True))
    return keras.tree.map_structure(lambda leaf: known.get(id(leaf), leaf), (tuple(args), dict(kwargs)))


def _name_apart(outputs: Any, layer: Any) -> None:
    """Gives operations other names than the layers inside: where these come from a file, Keras begins to count anew."""
    taken = {each.name for each in inner_layers(layer)}
    pending, seen = keras.tree.flatten(outputs), set()
    while pending:
        operation, node, _ = pending.pop()._keras_history  # Keras has no public way to walk a graph of no model yet.
        if (id(operation), node) in seen:
            continue
        seen.add((id(operation), node))
        if not isinstance(operation, keras.layers.Layer) and operation.name in taken:
            operation.name = f"{operation.name}_in_{layer.name}"
        pending += operation._inbound_nodes[node].input_tensors


def _call(operation: Any, *args: Any, **kwargs: Any) -> Any:
    if is_free_reshape(operation):
        return free_reshape(operation, args[0], name=operation.name)
    return operation(*args, **kwargs)


@full_float32()
def _gives_the_same(layer: Any, graph: keras.Model, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    random = np.random.default_rng(0)
    values = [_numbers(tensor, random) for tensor in graph.inputs]
    positional, named = _with(args, kwargs, tensors_of(args, kwargs), values)
    own = [each.weight for each in graph.layers if isinstance(each, OwnWeight)]
    # Scales that begin at zero would hide what they scale.
    others = [(each, keras.ops.convert_to_tensor(random.uniform(0.5, 1.5, each.shape), each.dtype)) for each in own]
    with keras.StatelessScope(state_mapping=others) if own else contextlib.nullcontext():
        expected = _InInference(lambda: layer(*positional, **named))(training=False)
        actual = graph(_alone(values), training=False)
    tolerance = 1e-4 if layer.compute_dtype == "float32" else 2e-2
    return all(
        np.allclose(np.asarray(one), np.asarray(other), rtol=tolerance, atol=tolerance)
        for one, other in zip(keras.tree.flatten(actual), keras.tree.flatten(expected), strict=True)
    )


class _InInference(keras.layers.Layer):
    """Tells the layers in a function that they do not train: a `call` without `training` would not pass it on."""

    def __init__(self, function: Callable[[], Any]):
        super().__init__()
        self._function = function

    def call(self, training: bool | None = None) -> Any:
        return self._function()


def _alone(tensors: Sequence[Any]) -> Any:
    return tensors[0] if len(tensors) == 1 else list(tensors)


def _numbers(tensor: Any, random: np.random.Generator) -> Any:
    shape = [2, *(size or _UNKNOWN_SIZE for size in tensor.shape[1:])]
    return keras.ops.convert_to_tensor(random.normal(size=shape), tensor.dtype)
