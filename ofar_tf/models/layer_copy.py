"""A layer once more, by its configuration."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from ofar_tf.models.functional_graph import graph_of
from ofar_tf.models.opening import obstacle
from ofar_tf.models.user_code import one_line


class CopyError(ValueError):
    """A layer that cannot be made from its configuration, whatever is tried with it.

    Args:
        message: What to say of it.
        layer: The layer.
    """

    def __init__(self, message: str, layer: Any):
        super().__init__(message)
        self.layer = layer


def copy_of(layer: Any) -> Any:
    """Returns a new layer of the same configuration, not built.

    Args:
        layer: Any layer.

    Raises:
        CopyError: If it is a layer of the user's that cannot be made from its configuration, in one line.
    """
    try:
        return type(layer).from_config(layer.get_config())
    except Exception as error:  # A user's layer may raise anything.
        raise CopyError(
            "Expected layers that can be copied by their configuration: a get_config with what __init__ takes, and "
            "functions with @keras.saving.register_keras_serializable(). "
            f"Received: {type(layer).__name__} {layer.name!r}: {one_line(error)}",
            layer,
        ) from error


@contextlib.contextmanager
def copying(model: keras.Model) -> Iterator[None]:
    """Says of a layer that cannot be copied also why it was not opened, after which no copy would be needed.

    Args:
        model: The functional model whose layers are copied meanwhile.

    Raises:
        CopyError: If a layer cannot be copied.
    """
    try:
        yield
    except CopyError as error:
        calls = [call for call in graph_of(model).calls if call.operation is error.layer]
        why = obstacle(calls[0].operation, calls[0].args, calls[0].kwargs) if calls else ""
        if not why:
            raise
        raise CopyError(f"{error}, and it cannot be opened: {why}.", error.layer) from error
