"""Number formats of layers: copies that compute in another one, whatever the global policy is."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from ofar_tf.models.functional_graph import inner_layers, is_functional

_FLOATS = ("float16", "bfloat16", "float64")


def computes_in_float32(layer: Any) -> bool:
    """Returns whether a layer, and every layer inside of it, computes and keeps its weights in float32.

    A layer of integers, which an input of bytes makes, counts as one that does; of a model only its layers count.
    """
    inner = [each for each in inner_layers(layer) if not isinstance(each, keras.layers.InputLayer)]
    policies = [each.dtype_policy for each in inner if not is_functional(each)]
    return not any({each.compute_dtype, each.variable_dtype} & {*_FLOATS} for each in policies)


def is_float(dtype: str) -> bool:
    """Returns whether a tensor's number format is one of floating point, but not float32."""
    return dtype in _FLOATS


@contextlib.contextmanager
def keras_settings_restored() -> Iterator[None]:
    """Undoes what is done inside to the settings that hold for all of Keras: formats and the order of axes."""
    before = keras.config.dtype_policy(), keras.config.floatx(), keras.config.image_data_format()
    try:
        yield
    finally:
        policy, floatx, data_format = before
        keras.config.set_image_data_format(data_format)
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


@contextlib.contextmanager
def default_policy(policy: str) -> Iterator[None]:
    """Makes new layers that say nothing of their own compute in a format; afterwards all is as before.

    Args:
        policy: `float32`, or the name of another policy.
    """
    with keras_settings_restored():
        keras.config.set_floatx(keras.DTypePolicy(policy).variable_dtype)
        keras.config.set_dtype_policy(policy)
        yield


def with_policy(config: Any, policy: str) -> Any:
    """Returns a layer's configuration with another number format, also for the layers that it holds.

    Args:
        config: What `get_config` returned, or a part of it.
        policy: The name of a Keras policy, which takes the place of every other one of floating point.
    """
    if isinstance(config, dict):
        if config.get("class_name") in ("DTypePolicy", "DTypePolicyMap"):
            return policy
        return {
            key: policy if key == "dtype" and _names_floats(value) else with_policy(value, policy)
            for key, value in config.items()
        }
    if isinstance(config, (list, tuple)):
        return type(config)(with_policy(value, policy) for value in config)
    return config


def _names_floats(value: Any) -> bool:
    return isinstance(value, str) and (value.startswith("mixed_") or value in (*_FLOATS, "float32"))
