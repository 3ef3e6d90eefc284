"""Reshapes of any number of images, as `ops.reshape(x, (ops.shape(x)[0], 4, 4))` on symbolic tensors.

Keras takes `None` in the new shape when a graph is made and fails when it runs.
"""

from typing import Any

import keras


def is_free_reshape(operation: Any) -> bool:
    """Returns whether an operation is a reshape to a shape whose first size, and no other, is unknown."""
    if type(operation).__name__ != "Reshape" or isinstance(operation, keras.layers.Layer):
        return False
    return operation.newshape[0] is None and None not in operation.newshape[1:]


def free_reshape(operation: Any, tensor: Any) -> Any:
    """Reshapes a symbolic tensor as such an operation means it."""
    return keras.layers.Reshape(operation.newshape[1:])(tensor)
