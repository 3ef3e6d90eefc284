"""The same weights, narrower: gathers for compact subnets, gates for masked ones.

Both read one table, `ChannelGroups.weights`: slicing keeps the entries of each weight whose channels are kept, masking
multiplies all others by zero. The two give the same network; one property test holds them together.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ofar_tf.pruning.channel_groups import ChannelGroups, WeightChannels
from ofar_tf.pruning.channel_mask import ChannelMask


def kept_indices(groups: ChannelGroups, mask: ChannelMask) -> list[Mapping[int, np.ndarray]]:
    """Lists, for each weight of the supernet, the indices a mask keeps along each axis that it narrows.

    Args:
        groups: The supernet's channel groups.
        mask: The channels kept.

    Returns:
        One mapping axis -> increasing int64 indices per entry of `model.weights`.
    """
    keep = np.append(mask.keep, True)
    return [
        {axis: np.flatnonzero(keep[channels]) for axis, channels in entry.axes.items() if not keep[channels].all()}
        for entry in groups.weights
    ]


def slice_array(value: np.ndarray, indices: Mapping[int, np.ndarray]) -> np.ndarray:
    """Returns the kept entries of a weight, as a NumPy array."""
    for axis, kept in indices.items():
        value = np.take(value, kept, axis=axis)
    return value


def slice_tensor(value: Any, indices: Mapping[int, np.ndarray]) -> tf.Tensor:
    """Returns the kept entries of a weight; gradients flow back to the whole weight, zero where nothing was kept.

    Args:
        value: A tensor or variable.
        indices: Axis -> increasing indices, as in `kept_indices`.
    """
    value = tf.convert_to_tensor(value)
    for axis, kept in indices.items():
        value = _take(value, kept, axis)
    return value


def _take(value: tf.Tensor, kept: np.ndarray, axis: int) -> tf.Tensor:
    """A gather along fixed, distinct indices, whose gradient is again a gather.

    TensorFlow's own gradient of an inner-axis gather takes over twice as many graph nodes, because it must allow for
    repeated indices.
    """
    size = value.shape[axis]
    inverse = np.full(size, len(kept), np.int32)
    inverse[kept] = np.arange(len(kept))
    indices = kept.astype(np.int32)
    padding = [[0, 1] if dimension == axis else [0, 0] for dimension in range(value.shape.rank)]

    @tf.custom_gradient
    def take(whole: tf.Tensor) -> tuple[tf.Tensor, Any]:
        def adjoint(upstream: tf.Tensor) -> tf.Tensor:
            return tf.gather(tf.pad(upstream, padding), inverse, axis=axis)

        return tf.gather(whole, indices, axis=axis), adjoint

    return take(value)


def mask_tensor(value: Any, entry: WeightChannels, gates: tf.Tensor) -> tf.Tensor:
    """Multiplies by zero the entries of a weight whose channels are not kept.

    Args:
        value: A tensor or variable.
        entry: Which channel each index of the weight belongs to.
        gates: float `[channels + 1]`, one where a channel is kept, zero elsewhere; the last entry, for indices that
            always stay, is one.
    """
    value = tf.convert_to_tensor(value)
    for axis, channels in entry.axes.items():
        shape = [-1 if dimension == axis else 1 for dimension in range(len(entry.shape))]
        value *= tf.cast(tf.reshape(tf.gather(gates, channels), shape), value.dtype)
    return value


def mask_array(value: np.ndarray, entry: WeightChannels, mask: ChannelMask) -> np.ndarray:
    """Returns a weight with zeros where a mask drops the channel, as a NumPy array."""
    keep = np.append(mask.keep, True)
    for axis, channels in entry.axes.items():
        shape = [-1 if dimension == axis else 1 for dimension in range(len(entry.shape))]
        value = value * keep[channels].reshape(shape)
    return value


def gates_of(masks: Sequence[ChannelMask]) -> np.ndarray:
    """Returns float32 `[masks, channels + 1]`, the gates of several masks for `mask_tensor`."""
    return np.stack([np.append(mask.keep, True) for mask in masks]).astype(np.float32)
