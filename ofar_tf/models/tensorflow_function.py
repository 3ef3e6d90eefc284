"""TensorFlow functions on tensors, as files of Keras 2 have them: `x / 127.5` is `math.truediv` there."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

# Functions of other modules write files, or run code.
_MODULES = ("", "math", "nn", "image", "linalg", "__operators__", "compat.v1", "compat.v1.math", "compat.v1.nn")
_CLOSED = ("py_function", "numpy_function", "py_func")


class TensorFlowFunction(keras.layers.Layer):
    """A call of a TensorFlow function. It has no configuration: networks are made of the operations that it opens to.

    Args:
        function: Its name in TensorFlow, such as `math.truediv`.
        positional: Its positional arguments: `{"tensor": 0}` where the first tensor stands that the layer is called on.
        named: Its keyword arguments, likewise.
        **kwargs: Those of any layer.

    Raises:
        ValueError: If TensorFlow has no such function on tensors.
    """

    def __init__(self, function: str, *, positional: list[Any], named: dict[str, Any], **kwargs: Any):
        super().__init__(**kwargs)
        module, _, name = function.rpartition(".")
        found: Any = tf if module in _MODULES and name not in _CLOSED else None
        for each in function.split("."):
            found = getattr(found, each, None)
        if not hasattr(found, "_tf_type_based_dispatcher"):  # What Keras 2 has written can take Keras' tensors.
            raise ValueError(f"Expected a function of TensorFlow's on tensors. Received: tf.{function}.")
        self._name_in_tensorflow, self._function = function, found
        self._arguments = positional, named

    def call(self, *tensors: Any) -> Any:
        """Calls the function."""
        positional, named = (_with(each, tensors) for each in self._arguments)
        return self._function(*positional, **named)

    def get_config(self) -> dict[str, Any]:
        """Refuses: whoever reads a network would need this package."""
        raise NotImplementedError(f"nothing that Keras has computes tf.{self._name_in_tensorflow}")


def _with(value: Any, tensors: Sequence[Any]) -> Any:
    """Puts tensors, slices and dots where arguments have signs for them."""
    if isinstance(value, (list, tuple)):
        return [_with(each, tensors) for each in value]
    if not isinstance(value, Mapping):
        return value
    if set(value) == {"tensor"}:
        return tensors[value["tensor"]]
    if set(value) == {"start", "stop", "step"}:
        return slice(*(_with(value[each], tensors) for each in ("start", "stop", "step")))
    if value.get("class_name") == "__ellipsis__":
        return ...
    return {name: _with(each, tensors) for name, each in value.items()}
