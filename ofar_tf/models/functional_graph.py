"""Functional Keras models as graphs: which layers they hold, which calls of them they are made of."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import keras


@dataclass(frozen=True, eq=False)
class GraphCall:
    """One call of a layer in a model's graph.

    Attributes:
        operation: The layer or Keras operation.
        args: Its positional arguments, Keras tensors included.
        kwargs: Its keyword arguments.
        outputs: What it returned.
    """

    operation: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: Any

    @property
    def tensors(self) -> list[Any]:
        """The Keras tensors among its arguments."""
        leaves = keras.tree.flatten((self.args, dict(self.kwargs)))
        return [leaf for leaf in leaves if isinstance(leaf, keras.KerasTensor)]


@dataclass(frozen=True, eq=False)
class Graph:
    """The calls that a functional model consists of, nested models counting as one layer each.

    Attributes:
        inputs: The Keras tensors it starts from, in the order of `model.inputs`.
        calls: The calls, in an order in which they can be run.
        outputs: The Keras tensors it ends with, in the order of `model.outputs`.
    """

    inputs: tuple[Any, ...]
    calls: tuple[GraphCall, ...]
    outputs: tuple[Any, ...]

    def run(self, inputs: Sequence[Any], *, call: Callable[..., Any]) -> list[Any]:
        """Runs the graph on other tensors.

        Args:
            inputs: One tensor for each input.
            call: Stands in for every call: gets the layer and its arguments, and returns what the layer would.

        Returns:
            One tensor for each output.
        """
        known = dict(zip(map(id, self.inputs), inputs, strict=True))

        def now(tree: Any) -> Any:
            return keras.tree.map_structure(lambda leaf: known.get(id(leaf), leaf), tree)

        for each in self.calls:
            outputs = call(each.operation, *now(each.args), **now(dict(each.kwargs)))
            flat = keras.tree.flatten(each.outputs), keras.tree.flatten(outputs)
            known.update(zip(map(id, flat[0]), flat[1], strict=True))
        return [known[id(tensor)] for tensor in self.outputs]


def graph_of(model: keras.Model, *, inputs: Sequence[Any] = ()) -> Graph:
    """Records the calls of a functional model, by running it once more symbolically.

    Args:
        model: A functional model, or a Sequential one with a known input.
        inputs: Keras inputs to run it on; those of the model's own shapes by default.

    Returns:
        Its graph.

    Raises:
        ValueError: Or whatever else a layer raises that cannot take these inputs.
    """
    calls = []

    def record(operation: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = operation(*args, **kwargs)
        calls.append(GraphCall(operation, args, kwargs, outputs))
        return outputs

    inputs = tuple(inputs) or tuple(keras.Input(batch_shape=t.shape, dtype=t.dtype, name=t.name) for t in model.inputs)
    replayed = replay(model, inputs, call=record)
    return Graph(inputs, tuple(calls), tuple(replayed.outputs))


def is_functional(layer: Any) -> bool:
    """Returns whether a layer is a graph of layers; a Sequential model with a known input is one too.

    A class that is derived from either counts as one unless it has a `call` of its own, which the graph does not show.
    """
    if isinstance(layer, keras.Sequential):
        return layer.built and bool(layer.inputs) and type(layer).call is keras.Sequential.call
    functional = _functional_class()
    return isinstance(layer, functional) and type(layer).call is functional.call


def is_stock(operation: Any) -> bool:
    """Returns whether a layer or operation is of a class of Keras: of others nobody knows what an attribute means."""
    return type(operation).__module__.startswith("keras.src.")


def takes_training(operation: Any) -> bool:
    """Returns whether a layer or operation is told whether it trains."""
    return is_functional(operation) or "training" in inspect.signature(operation.call).parameters


def flat_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yields the layers of a model, nested models included and opened, in an order that clones share."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from flat_layers(layer)


def inner_layers(layer: Any) -> list[Any]:
    """Returns a layer, or model, and all layers inside of it, each once, those of composite layers included."""
    # Keras has no public way to look into a composite layer.
    return list({id(each): each for each in layer._flatten_layers()}.values())


def replay(model: keras.Model, inputs: Sequence[Any], *, call: Callable[..., Any]) -> keras.Model:
    """Runs a model's own layers once more, one by one.

    Args:
        model: A functional model, or a Sequential one with a known input.
        inputs: One Keras input for each of its inputs.
        call: Stands in for every call: gets the layer and its arguments, and returns what the layer would. A layer that
            takes no `training` is told none, as Keras tells it none.

    Returns:
        A model of the same layers, from `inputs` to what `call` made of them.
    """

    def told(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if "training" in kwargs and not takes_training(operation):
            del kwargs["training"]
        return call(operation, *args, **kwargs)

    functional = keras.Model(model.inputs, model.outputs) if isinstance(model, keras.Sequential) else model
    return keras.models.clone_model(
        functional,
        input_tensors=keras.tree.pack_sequence_as(functional.input, list(inputs)),
        clone_function=lambda layer: layer,
        call_function=told,
    )


@cache
def _functional_class() -> Any:
    # Keras exports no name for the class.
    tensor = keras.Input(())
    return type(keras.Model(tensor, tensor))
