"""Classes and functions of the user's that nobody registered: files name them by their own names alone."""

import inspect
from typing import Any

import keras

from ofar_tf.models.functional_graph import flat_layers, is_stock

_LIBRARIES = ("keras", "ofar_tf")


def unregistered(model: keras.Model) -> dict[str, Any]:
    """Finds what of a network Keras could write to a file and not find again.

    Args:
        model: A functional model.

    Returns:
        Classes of layers and functions in `activation`, by name; none whose name is that of a function of Keras, which
        it would hide.
    """
    layers = list(flat_layers(model))
    own: list[Any] = [type(layer) for layer in layers if not is_stock(layer)]
    own += [each for layer in layers if inspect.isfunction(each := getattr(layer, "activation", None))]
    return {each.__name__: each for each in own if not is_library_code(each) and _is_nameable(each)}


def make_known(model: keras.Model) -> None:
    """Lets Keras find what nobody registered, in this process, by the names that its files give them.

    Args:
        model: A functional model.
    """
    keras.saving.get_custom_objects().update(unregistered(model))


def is_library_code(own: Any) -> bool:
    """Tells whether a class or function is of Keras or of this package."""
    return str(own.__module__).partition(".")[0] in _LIBRARIES


def _is_nameable(own: Any) -> bool:
    name = own.__name__
    return (
        keras.saving.get_registered_name(own) == name and name.isidentifier() and not hasattr(keras.activations, name)
    )
