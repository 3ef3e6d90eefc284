"""Classes and functions of the user's that nobody registered: files name them by their own names alone."""

import inspect
from collections.abc import Mapping
from typing import Any

import keras

from ofar_tf.models.functional_graph import flat_layers, is_stock
from ofar_tf.models.user_code import is_library

_OF_KERAS = frozenset(each.__name__ for each in vars(keras.activations).values() if inspect.isfunction(each))
# For functions that are called as one of Keras' is: by their name alone, files would mean that one.
_PACKAGE = "ofar_tf.unregistered"

# By this name files mean TensorFlow's silu, which Keras does not find; its other activations are called as Keras' are.
keras.saving.get_custom_objects().setdefault("swish", keras.activations.silu)


def unregistered(model: keras.Model) -> dict[str, Any]:
    """Finds what of a network Keras could write to a file and not find again, unless it was told (`make_known`).

    Args:
        model: A functional model.

    Returns:
        Classes of layers and functions in `activation`, by name.
    """
    layers = list(flat_layers(model))
    own: list[Any] = [type(layer) for layer in layers if not is_stock(layer)]
    own += [each for layer in layers if inspect.isfunction(each := getattr(layer, "activation", None))]
    return {each.__name__: each for each in own if not is_library(each.__module__) and _is_unregistered(each)}


def make_known(own: Mapping[str, Any]) -> None:
    """Lets Keras find what nobody registered, in this process, by the names that its files give it.

    Args:
        own: Classes and functions, by name.
    """
    for name, each in own.items():
        if name in _OF_KERAS:
            keras.saving.register_keras_serializable(package=_PACKAGE, name=name)(each)
        else:
            keras.saving.get_custom_objects()[name] = each


def _is_unregistered(own: Any) -> bool:
    name = own.__name__
    return name.isidentifier() and keras.saving.get_registered_name(own) in (name, f"{_PACKAGE}>{name}")
