"""The same weights, narrower: gathers for compact subnets, gates for masked ones.

Both read one table, `ChannelGroups.weights`: slicing keeps the entries of each weight whose channels are kept, masking
multiplies all others by zero. The two give the same network; one property test holds them together.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ofar_tf.devices.accelerators import is_accelerated
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


# Where a gather along the last axis moves so many numbers or more, a processor is faster with two transpositions.
_TRANSPOSED_FROM = 2**13


class Slices:
    """Cuts the weights of one structure out of the supernet's, and puts their gradients back, within one graph.

    Every network of a step does so, hence: equal constants are made once, as the many weights of a channel group are
    cut by the same indices; vectors, two for each BatchNorm, are cut in one gather; and on a processor, which gathers
    the last axis number by number, large kernels are transposed, so that whole rows move. Indices have 64 bits: a GPU
    holds such constants itself, those of 32 bits it would be sent in every step.

    Args:
        groups: The supernet's channel groups.
        mask: The channels kept.
    """

    def __init__(self, groups: ChannelGroups, mask: ChannelMask):
        self._indices = kept_indices(groups, mask)
        self._shapes = [entry.shape for entry in groups.weights]
        self._constants: dict[tuple[Any, ...], tf.Tensor] = {}
        self._transposes = not is_accelerated()

    def narrow(self, weights: Sequence[int], values: Sequence[Any]) -> list[tf.Tensor]:
        """Returns the kept entries of weights.

        Args:
            weights: Their positions in `model.weights`.
            values: Their values, tensors or variables.
        """
        return self._apply(weights, values, alone=self._narrow_one, vectors=self._narrow_vectors)

    def widen(self, weights: Sequence[int], values: Sequence[Any]) -> list[tf.Tensor]:
        """Puts kept entries back where `narrow` took them, with zeros around them: its adjoint, for gradients.

        TensorFlow's own gradient of an inner-axis gather takes over twice as many graph nodes, because it must allow
        for repeated indices. Here it is again a gather.

        Args:
            weights: The weights' positions in `model.weights`.
            values: Entries of the shapes that `narrow` returns.

        Returns:
            Tensors of the whole weights' shapes.
        """
        return self._apply(weights, values, alone=self._widen_one, vectors=self._widen_vectors)

    def _apply(self, weights: Sequence[int], values: Sequence[Any], *, alone: Any, vectors: Any) -> list[tf.Tensor]:
        results = [tf.convert_to_tensor(value) for value in values]
        together: dict[tf.DType, list[int]] = {}
        for place, weight in enumerate(weights):
            if self._indices[weight] and len(self._shapes[weight]) == 1:
                together.setdefault(results[place].dtype, []).append(place)
            else:
                results[place] = alone(weight, results[place])
        for places in together.values():
            made = vectors([weights[place] for place in places], [results[place] for place in places])
            for place, vector in zip(places, made, strict=True):
                results[place] = vector
        return results

    def _narrow_one(self, weight: int, value: tf.Tensor) -> tf.Tensor:
        for axis, kept in self._indices[weight].items():
            value = self._gather(value, kept, axis)
        return value

    def _narrow_vectors(self, weights: Sequence[int], values: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        kept = [self._indices[weight][0] for weight in weights]
        starts = np.cumsum([0, *(self._shapes[weight][0] for weight in weights)])
        places = np.concatenate([start + each for start, each in zip(starts, kept, strict=False)])
        return tf.split(self._gather(tf.concat(values, 0), places, 0), [len(each) for each in kept])

    def _widen_one(self, weight: int, value: tf.Tensor) -> tf.Tensor:
        indices, shape = self._indices[weight], self._shapes[weight]
        value.set_shape([len(indices.get(axis, range(size))) for axis, size in enumerate(shape)])
        if indices:
            # One more entry along each axis, the zero that indices of dropped channels point to.
            padding = np.array([[0, int(axis in indices)] for axis in range(len(shape))], np.int32)
            value = tf.pad(value, self._constant(padding))
        for axis, kept in reversed(indices.items()):
            value = self._gather(value, _inverse(kept, shape[axis], zero=len(kept)), axis)
        return value

    def _widen_vectors(self, weights: Sequence[int], values: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        kept = [self._indices[weight][0] for weight in weights]
        sizes = [self._shapes[weight][0] for weight in weights]
        starts = np.cumsum([0, *map(len, kept)])
        places = [
            _inverse(each, size, zero=starts[-1], start=start)
            for each, size, start in zip(kept, sizes, starts[:-1], strict=True)
        ]
        padded = tf.concat([*values, tf.zeros([1], values[0].dtype)], 0)
        return tf.split(self._gather(padded, np.concatenate(places), 0), sizes)

    def _gather(self, value: tf.Tensor, indices: np.ndarray, axis: int) -> tf.Tensor:
        width = value.shape[-1]
        moved = value.shape.num_elements() // width * len(indices)
        if 0 < axis == value.shape.rank - 1 and self._transposes and moved >= _TRANSPOSED_FROM:
            columns = tf.transpose(tf.reshape(value, [-1, width]))
            rows = tf.transpose(self._gather(columns, indices, 0))
            return tf.reshape(rows, [*value.shape[:-1], len(indices)])
        along = self._constant(np.array(axis, np.int32))
        return tf.raw_ops.GatherV2(params=value, indices=self._constant(indices.astype(np.int64)), axis=along)

    def _constant(self, array: np.ndarray) -> tf.Tensor:
        key = array.shape, array.tobytes()
        if key not in self._constants:
            self._constants[key] = tf.constant(array)
        return self._constants[key]


def _inverse(kept: np.ndarray, size: int, *, zero: int, start: int = 0) -> np.ndarray:
    """Says of each of `size` channels where its number stands: kept ones from `start` on, all others at `zero`."""
    inverse = np.full(size, zero)
    inverse[kept] = start + np.arange(len(kept))
    return inverse


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
