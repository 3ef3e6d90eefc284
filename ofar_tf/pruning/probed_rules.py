"""Layers of the user's without weights, tried: whether they do to each channel alone what they do to any other.

Stochastic depth, noise, pools and activations that are classes of the user's cannot be looked into where they draw
random numbers or compute with TensorFlow. On numbers it shows: what comes of some of the channels, in another order, is
what came of these among all. Only inference can be compared where training draws. So it does where a layer puts
channels of its own beside what it gets, as coordinates are for CoordConv.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.models.functional_graph import is_stock
from ofar_tf.models.layer_copy import copy_of
from ofar_tf.pruning.call import Call
from ofar_tf.pruning.graph_macs import count_macs
from ofar_tf.pruning.propagation import Channels, Flow, Propagation
from ofar_tf.pruning.trials import (
    finite_values,
    has_one_tensor,
    numbers_for,
    outside_of_the_trace,
    same,
    some_of,
    trains_alike,
)
from ofar_tf.pruning.tried_merges import merged


def can_be_tried(layer: Any) -> bool:
    """Returns whether a layer is one of the user's that has no weights; states of random numbers are none."""
    return isinstance(layer, keras.layers.Layer) and not is_stock(layer) and not layer.weights


def channelwise(found: Propagation, call: Call) -> Sequence[Flow]:
    """The rule of such a layer."""
    if has_one_tensor(call):
        dropped = outside_of_the_trace(lambda: _behind(call))
        if dropped is not None:
            return [Channels(call.ids, -1, dropped=dropped)]
        added = outside_of_the_trace(lambda: _added(call))
        if added is not None:
            before, behind = map(found.new, added)
            for ids in (before, behind):
                found.fix(ids, f"{call.title} gives it, whatever it gets")
            return [Channels(np.concatenate([before, call.ids, behind]), -1, dropped=call.inputs[0].dropped)]
    return merged(found, call)


def is_linear(call: Call) -> bool:
    """Returns whether such a layer gives twice as much, or as little, of twice as much."""

    def tried() -> bool:
        layer, values = copy_of(call.layer), numbers_for(call.inputs[0])
        return np.allclose(layer(2.0 * values), 2.0 * np.asarray(layer(values)), rtol=1e-4, atol=1e-5) and np.allclose(
            layer(-values), -np.asarray(layer(values)), rtol=1e-4, atol=1e-5
        )

    return bool(outside_of_the_trace(tried))


def _behind(call: Call) -> np.ndarray | None:
    """Returns what dropped channels may be behind a layer; `None` where it does not take each channel by itself."""
    layer, values = copy_of(call.layer), numbers_for(call.inputs[0])
    some = np.random.default_rng(1).permutation(values.shape[-1])[: values.shape[-1] // 2]
    whole = np.asarray(layer(values, training=False))
    if not len(some) or whole.shape[-1] != values.shape[-1] or not same(layer(values[..., some]), whole[..., some]):
        return None
    if not trains_alike(
        lambda: np.asarray(layer(values, training=True)),
        lambda: np.asarray(layer(values[..., some], training=True)),
        kept=some,
    ):
        return None
    if count_macs(layer, [keras.KerasTensor((1, *values.shape[1:]))], {}) != (0, {}):
        return None  # The multiply-adds of fewer channels would not be known.
    return _dropped(layer, values.shape, call.inputs[0].dropped)


def _added(call: Call) -> tuple[int, int] | None:
    """Returns how many channels a layer puts in front of what it gets and behind it; `None` where it does else, too."""
    values, more = numbers_for(call.inputs[0]), (call.shape[-1] or 0) - len(call.ids)
    if more < 1 or len({_macs(call.layer, given) for given in (values, values[..., ::2])}) > 1:
        return None
    for before in (0, more):
        passes = all(_passes(call.layer, given, before) for given in (values, values[..., ::2]))
        others = [_others(call.layer, given, before) for given in (values, values + 1.0, values[..., ::2])]
        if passes and all(np.array_equal(each, others[0]) for each in others):
            return before, more - before
    return None


def _passes(layer: Any, values: np.ndarray, before: int) -> bool:
    """Returns whether a layer gives what it gets, in training too, behind some channels."""
    end = before + values.shape[-1]
    runs = [np.asarray(copy_of(layer)(values, training=training)) for training in (False, True)]
    return np.array_equal(runs[0], runs[1]) and np.array_equal(runs[0][..., before:end], values)


def _others(layer: Any, values: np.ndarray, before: int) -> np.ndarray:
    """Returns what a layer gives beside what it gets."""
    given = np.asarray(copy_of(layer)(values, training=False))
    return np.delete(given, np.arange(before, before + values.shape[-1]), axis=-1)


def _macs(layer: Any, values: np.ndarray) -> int | None:
    macs, uncounted = count_macs(copy_of(layer), [keras.KerasTensor((1, *values.shape[1:]))], {})
    return None if uncounted else macs


def _dropped(layer: Any, shape: Sequence[int], before: np.ndarray) -> np.ndarray | None:
    constants = tf.stack([tf.fill(shape[1:], tf.cast(value, tf.float32)) for value in before])
    values = finite_values(lambda tensors: layer(tensors[0], training=False), [constants])
    return None if values is None else some_of(values)
