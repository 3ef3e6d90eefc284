"""Layers of the user's without weights, tried: whether they do to each channel alone what they do to any other.

Stochastic depth, noise, pools and activations that are classes of the user's cannot be looked into where they draw
random numbers or compute with TensorFlow. On numbers it shows: what comes of some of the channels, in another order, is
what came of these among all. Only inference can be compared where training draws.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.models.functional_graph import is_stock
from ofar_tf.models.layer_copy import copy_of
from ofar_tf.pruning.call import Call
from ofar_tf.pruning.graph_macs import count_macs
from ofar_tf.pruning.propagation import Channels, Flow, Propagation

_UNKNOWN_SIZE, _SAMPLES, _DRAWS = 8, 12, 8


def can_be_tried(layer: Any) -> bool:
    """Returns whether a layer is one of the user's that has no weights; states of random numbers are none."""
    return isinstance(layer, keras.layers.Layer) and not is_stock(layer) and not layer.weights


def channelwise(found: Propagation, call: Call) -> Sequence[Flow]:
    """The rule of such a layer."""
    if has_one_tensor(call):
        dropped = outside_of_the_trace(lambda: _behind(call))
        if dropped is not None:
            return [Channels(call.ids, -1, dropped=dropped)]
    raise NotImplementedError("is unknown to the library")


def has_one_tensor(call: Call) -> bool:
    """Returns whether a layer is told nothing but one tensor with its channels last, and gives one."""
    told = {name: value for name, value in call.kwargs.items() if name != "training" and value is not None}
    return len(call.args) == len(call.inputs) == len(call.shapes) == 1 and not told and call.inputs[0].axis == -1


def is_linear(call: Call) -> bool:
    """Returns whether such a layer gives twice as much, or as little, of twice as much."""

    def tried() -> bool:
        layer, values = copy_of(call.layer), numbers_for(call)
        return np.allclose(layer(2.0 * values), 2.0 * np.asarray(layer(values)), rtol=1e-4, atol=1e-5) and np.allclose(
            layer(-values), -np.asarray(layer(values)), rtol=1e-4, atol=1e-5
        )

    return bool(outside_of_the_trace(tried))


def outside_of_the_trace(function: Callable[[], Any]) -> Any:
    """Runs a function where variables have values: Keras' scope, in which the trace has none, is one of this thread."""
    with ThreadPoolExecutor(1) as thread:
        try:
            return thread.submit(function).result()
        except Exception:  # A user's layer may raise anything.
            return None


def _behind(call: Call) -> np.ndarray | None:
    """Returns what dropped channels may be behind a layer; `None` where it does not take each channel by itself."""
    layer, values = copy_of(call.layer), numbers_for(call)
    some = np.random.default_rng(1).permutation(values.shape[-1])[: values.shape[-1] // 2]
    whole = np.asarray(layer(values, training=False))
    if not len(some) or whole.shape[-1] != values.shape[-1] or not _same(layer(values[..., some]), whole[..., some]):
        return None
    if not _trains_on(layer, values, some):
        return None
    if count_macs(layer, [keras.KerasTensor((1, *values.shape[1:]))], {}) != (0, {}):
        return None  # The multiply-adds of fewer channels would not be known.
    return _dropped(layer, values.shape, call.inputs[0].dropped)


def _trains_on(layer: Any, values: np.ndarray, some: np.ndarray) -> bool:
    """Returns whether training gives of some of the channels what it gives of them among all, or draws what it gives.

    Two draws may be equal, so it is tried until it shows.
    """
    first = np.asarray(layer(values, training=True))
    for _ in range(_DRAWS):
        whole, part = np.asarray(layer(values, training=True)), np.asarray(layer(values[..., some], training=True))
        if part.shape != whole[..., some].shape:
            return False
        if _same(part, whole[..., some]) or not _same(whole, first):
            return True
    return False


def _dropped(layer: Any, shape: Sequence[int], before: np.ndarray) -> np.ndarray | None:
    constants = tf.stack([tf.fill(shape[1:], tf.cast(value, tf.float32)) for value in before])
    with tf.GradientTape() as tape:
        tape.watch(constants)
        values = layer(constants, training=False)
    slopes = tape.gradient(values, constants)
    if not all(np.isfinite(np.asarray(each)).all() for each in (values, 0.0 if slopes is None else slopes)):
        return None
    return some_of(np.asarray(values))


def some_of(values: np.ndarray) -> np.ndarray:
    """Returns different ones of the numbers that dropped channels may be, few enough to try, those nearest zero."""
    unique = np.unique(values)
    return unique[np.argsort(np.abs(unique))][:_SAMPLES]


def numbers_for(call: Call) -> np.ndarray:
    """Returns numbers that a layer with one input can be tried on."""
    shape = [2, *(size or _UNKNOWN_SIZE for size in call.inputs[0].shape[1:])]
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def _same(one: Any, other: np.ndarray) -> bool:
    one = np.asarray(one)
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-4, atol=1e-5)
