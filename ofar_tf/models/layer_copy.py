"""A layer once more, by its configuration."""

from typing import Any

from ofar_tf.models.user_code import one_line


class CopyError(ValueError):
    """A layer that cannot be made from its configuration, whatever is tried with it."""


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
            f"Received: {type(layer).__name__} {layer.name!r}: {one_line(error)}"
        ) from error
