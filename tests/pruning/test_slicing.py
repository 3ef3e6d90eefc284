from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ofar_tf.pruning.channel_groups import ChannelGroup, WeightChannels
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.slicing import gates_of, mask_array, mask_tensor, slice_array, slice_tensor

ENTRY = WeightChannels("layer/kernel", (2, 4, 3), {1: np.array([0, 1, 2, 3]), 2: np.array([1, 4, 0])})
MASK = ChannelMask((ChannelGroup("g", 0, 4, ("layer",), (0,)),), np.array([True, False, True, False]))


@settings(max_examples=20, deadline=None)
@given(axis=st.integers(0, 3), data=st.data())
def test_the_gradient_of_a_slice_is_that_of_a_gather(axis: int, data: Any) -> None:
    shape = (3, 2, 5, 4)
    kept = np.array(sorted(data.draw(st.sets(st.integers(0, shape[axis] - 1), min_size=1))))
    value = tf.constant(np.random.default_rng(0).normal(size=shape))
    gradients = []
    for take in (lambda v: slice_tensor(v, {axis: kept}), lambda v: tf.gather(v, kept, axis=axis)):
        with tf.GradientTape() as tape:
            tape.watch(value)
            taken = take(value)
            loss = tf.reduce_sum(taken**3)
        gradients.append(tf.convert_to_tensor(tape.gradient(loss, value)))
    np.testing.assert_array_equal(gradients[0], gradients[1])
    np.testing.assert_array_equal(taken, slice_array(value.numpy(), {axis: kept}))


def test_a_slice_along_two_axes_reads_a_variable_in_a_graph() -> None:
    variable = keras.Variable(np.arange(24.0).reshape(2, 4, 3))
    indices = {1: np.array([0, 2]), 2: np.array([1, 2])}
    sliced = tf.function(lambda: slice_tensor(variable, indices))()
    np.testing.assert_array_equal(sliced, np.asarray(variable)[:, [0, 2]][:, :, [1, 2]])


def test_a_mask_zeroes_what_it_drops_and_leaves_what_always_stays() -> None:
    expected = np.zeros((2, 4, 3))
    # Axis 1 keeps channels 0 and 2; on axis 2 index 0 is channel 1 (dropped), 1 always stays, 2 is channel 0.
    expected[:, [0, 2], 1:] = 1.0
    value = np.ones((2, 4, 3))
    np.testing.assert_array_equal(mask_array(value, ENTRY, MASK), expected)
    np.testing.assert_array_equal(mask_tensor(value, ENTRY, tf.constant(gates_of([MASK])[0])), expected)


def test_gates_are_zero_or_one_with_a_last_one_for_what_always_stays() -> None:
    gates = gates_of([MASK, ChannelMask(MASK.groups, np.ones(4, bool))])
    assert gates.dtype == np.float32
    assert gates.tolist() == [[1, 0, 1, 0, 1], [1, 1, 1, 1, 1]]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_masking_keeps_the_type_of_the_weight(dtype: str) -> None:
    value = tf.ones((2, 4, 3), dtype)
    assert mask_tensor(value, ENTRY, tf.constant(gates_of([MASK])[0])).dtype == dtype
