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


def kept_indices(groups: ChannelGroups, mask: ChannelMask) -> list[dict[int, np.ndarray]]:
    """Lists, for each weight of the supernet, the indices a mask keeps along each axis that it narrows.

    Args:
        groups: The supernet's channel groups.
        mask: The channels kept.

    Returns:
        One mapping axis -> increasing int64 indices per entry of `model.weights`, the first axes first: a gather along
        the last axis moves single numbers, so it comes when there are few of them.
    """
    keep = np.append(mask.keep, True)
    return [
        {
            axis: np.flatnonzero(keep[channels])
            for axis, channels in sorted(entry.axes.items())
            if not keep[channels].all()
        }
        for entry in groups.weights
    ]


def slice_array(value: np.ndarray, indices: Mapping[int, np.ndarray]) -> np.ndarray:
    """Returns the kept entries of a weight, as a NumPy array."""
    for axis, kept in indices.items():
        value = np.take(value, kept, axis=axis)
    return value


class Slices:
    """Cuts the weights of one structure out of the supernet's, and puts their gradients back, within one graph.

    Equal constants are made once: the many weights of a channel group are cut by the same indices, and most of what a
    gather adds to a graph is constants. Indices have 64 bits: a GPU holds such constants itself, those of 32 bits it
    would be sent in every step.

    Args:
        groups: The supernet's channel groups.
        mask: The channels kept.
    """

    def __init__(self, groups: ChannelGroups, mask: ChannelMask):
        self._indices = kept_indices(groups, mask)
        self._shapes = [entry.shape for entry in groups.weights]
        self._constants: dict[tuple[Any, ...], tf.Tensor] = {}

    def narrow(self, weight: int, value: Any) -> tf.Tensor:
        """Returns the kept entries of a weight.

        Args:
            weight: The weight's position in `model.weights`.
            value: Its value, a tensor or variable.
        """
        value = tf.convert_to_tensor(value)
        for axis, kept in self._indices[weight].items():
            value = self._gather(value, kept, axis)
        return value

    def widen(self, weight: int, value: tf.Tensor) -> tf.Tensor:
        """Puts kept entries back where `narrow` took them, with zeros around them: its adjoint, for gradients.

        TensorFlow's own gradient of an inner-axis gather takes over twice as many graph nodes, because it must allow
        for repeated indices. Here it is again a gather.

        Args:
            weight: The weight's position in `model.weights`.
            value: Entries of the shape that `narrow` returns.

        Returns:
            A tensor of the whole weight's shape.
        """
        indices, shape = self._indices[weight], self._shapes[weight]
        if indices:
            # One more entry along each axis, the zero that indices of dropped channels point to.
            padding = np.array([[0, int(axis in indices)] for axis in range(len(shape))], np.int32)
            value = tf.pad(value, self._constant(padding))
        for axis, kept in reversed(indices.items()):
            inverse = np.full(shape[axis], len(kept))
            inverse[kept] = np.arange(len(kept))
            value = self._gather(value, inverse, axis)
        return value

    def _gather(self, value: tf.Tensor, indices: np.ndarray, axis: int) -> tf.Tensor:
        along = self._constant(np.array(axis, np.int32))
        return tf.raw_ops.GatherV2(params=value, indices=self._constant(indices.astype(np.int64)), axis=along)

    def _constant(self, array: np.ndarray) -> tf.Tensor:
        key = array.shape, array.tobytes()
        if key not in self._constants:
            self._constants[key] = tf.constant(array)
        return self._constants[key]


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
