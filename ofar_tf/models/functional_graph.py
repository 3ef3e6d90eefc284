"""What a functional Keras model is, and the layers of one."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import keras


def is_functional(layer: Any) -> bool:
    """Returns whether a layer is a graph of layers; a Sequential model with a known input is one too.

    A class derived from a functional model counts as one unless it has a `call` of its own, which the graph would not
    show, and which a clone would lose.
    """
    if isinstance(layer, keras.Sequential):
        return layer.built
    functional = _functional_class()
    return isinstance(layer, functional) and type(layer).call is functional.call


def flat_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yields the layers of a model, nested models included and opened, in an order that clones share."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from flat_layers(layer)


@cache
def _functional_class() -> Any:
    # Keras exports no name for the class.
    tensor = keras.Input(())
    return type(keras.Model(tensor, tensor))
