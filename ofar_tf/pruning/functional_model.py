"""What this package asks of a model, and the one order in which it walks through a model's layers."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from ofar_tf.models.functional_graph import flat_layers, is_functional

__all__ = ["check_functional", "flat_layers", "input_layers", "is_functional", "replay"]


def check_functional(model: Any) -> None:
    """Refuses what is not a functional, channels-last Keras model.

    Args:
        model: What the user gave. A class derived from a functional model counts as one unless it has a `call` of its
            own, which the graph would not show.

    Raises:
        ValueError: If it is a subclassed or Sequential model, no model at all, or has a channels-first layer.
    """
    if isinstance(model, keras.Sequential) or not is_functional(model):
        kind = "a Sequential" if isinstance(model, keras.Sequential) else f"a {type(model).__name__}"
        raise ValueError(f"Expected a functional Keras model, made by keras.Model(inputs, outputs). Received: {kind}.")
    for layer in flat_layers(model):
        if getattr(layer, "data_format", None) == "channels_first":
            raise ValueError(
                "Expected layers with data_format='channels_last'. "
                f"Received: {type(layer).__name__} {layer.name!r} with 'channels_first'."
            )


def input_layers(model: keras.Model) -> list[keras.layers.InputLayer]:
    """Returns the input layers of a functional model, in the order of `model.inputs`."""
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.InputLayer)]
    return [next(layer for layer in layers if layer.output is tensor) for tensor in model.inputs]


def replay(model: keras.Model, inputs: Sequence[Any], *, call: Callable[..., Any]) -> keras.Model:
    """Runs a model's own layers once more, one by one.

    Args:
        model: A functional model, or a Sequential one with a known input.
        inputs: One tensor for each of its inputs.
        call: Stands in for every call: gets the layer and its arguments, and returns what the layer would.

    Returns:
        A model of the same layers, from `inputs` to what `call` made of them.
    """
    functional = keras.Model(model.inputs, model.outputs) if isinstance(model, keras.Sequential) else model
    return keras.models.clone_model(
        functional,
        input_tensors=keras.tree.pack_sequence_as(functional.input, list(inputs)),
        clone_function=lambda layer: layer,
        call_function=call,
    )
