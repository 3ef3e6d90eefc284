"""Reshapes of any number of images, as `ops.reshape(x, (ops.shape(x)[0], 4, 4))` on symbolic tensors.

Keras takes `None` in the new shape when a graph is made and fails when it runs.
"""

from typing import Any

import keras


def is_free_reshape(operation: Any) -> bool:
    """Returns whether an operation is a reshape to a shape with unknown sizes."""
    if type(operation).__name__ != "Reshape" or isinstance(operation, keras.layers.Layer):
        return False
    return None in operation.newshape


def free_reshape(operation: Any, tensor: Any, *, name: str) -> Any:
    """Reshapes a symbolic tensor as such an operation means it, by a layer of that name.

    Raises:
        ValueError: If more than the number of images is unknown.
    """
    if operation.newshape[0] is not None or None in operation.newshape[1:]:
        raise ValueError(
            "Expected a reshape to sizes that are known, except the number of images, or -1 for one of them. "
            f"Received: operation {operation.name!r} to {tuple(operation.newshape)}, which Keras cannot run."
        )
    return keras.layers.Reshape(operation.newshape[1:], name=name)(tensor)
