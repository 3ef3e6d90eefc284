"""Classes and functions of the user's, handed to the processes that read networks, wherever they were defined.

A command remembers modules (`ofar_tf.models.user_modules`). What stands in a cell of a notebook is in none, so it is
pickled by value; what can be imported is imported there as it was here.
"""

import os
import pickle
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cloudpickle
import keras

from ofar_tf.models.functional_graph import flat_layers, is_stock
from ofar_tf.models.user_code import is_library, one_line

# How processes that this one starts are told.
_SHARED = "OFAR_TF_SHARED_CODE"


def check_shareable(model: keras.Model, *, reference: str) -> None:
    """Refuses a network that could be trained but neither read from a file nor handed to another process.

    Args:
        model: A functional model.
        reference: What the user calls it.

    Raises:
        ValueError: If Keras does not know a class within a layer, a layer cannot be made from its configuration, or
            code cannot be pickled.
    """
    try:
        for layer in flat_layers(model):
            if not is_stock(layer):
                keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
        _pickled(model)
    except Exception as error:  # The user's code may raise anything.
        raise ValueError(
            "Expected layers of yours that can be read from a file: a get_config with what __init__ takes, and classes "
            "and functions with @keras.saving.register_keras_serializable(). "
            f"Received: {reference}: {one_line(error)}"
        ) from error


@contextmanager
def shared_code(model: keras.Model) -> Iterator[None]:
    """Lets processes that are started meanwhile read a network: they get what of it is the user's own.

    Args:
        model: The network.
    """
    code = _pickled(model)
    if code is None:
        yield
        return
    with TemporaryDirectory(prefix="ofar_tf_code_") as folder:
        path = Path(folder) / "code.pickle"
        path.write_bytes(code)
        os.environ[_SHARED] = str(path)
        try:
            yield
        finally:
            os.environ.pop(_SHARED, None)


def load_shared() -> None:
    """Takes what the process that started this one has shared, if anything."""
    if _SHARED not in os.environ:
        return
    path, has_lambdas, objects = pickle.loads(Path(os.environ[_SHARED]).read_bytes())
    sys.path.extend(each for each in path if each not in sys.path)
    if has_lambdas:
        keras.config.enable_unsafe_deserialization()
    keras.saving.get_custom_objects().update(pickle.loads(objects))


def _pickled(model: keras.Model) -> bytes | None:
    """Pickles the user's code in a network, if there is any; what finds modules comes first, to be there for the rest.

    A network with Lambda layers that came so far was allowed them by the user, in this process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of Lambda layers.
        texts = set(_texts(keras.saving.serialize_keras_object(model)))
    known = {text: keras.saving.get_registered_object(text) for text in texts}
    objects = {text: each for text, each in known.items() if each is not None and not is_library(each.__module__)}
    has_lambdas = "__lambda__" in texts
    if not objects and not has_lambdas:
        return None
    path = [each or str(Path.cwd()) for each in sys.path]
    return pickle.dumps((path, has_lambdas, cloudpickle.dumps(objects)))


def _texts(config: Any) -> Iterator[str]:
    if isinstance(config, dict):
        config = list(config.values())
    if isinstance(config, str):
        yield config
    elif isinstance(config, (list, tuple)):
        for value in config:
            yield from _texts(value)
