from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ofar_tf.pruning.channel_groups import ChannelGroup, ChannelGroups, WeightChannels
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.slicing import Slices, gates_of, mask_array, mask_tensor, slice_array

ENTRY = WeightChannels("layer/kernel", (2, 4, 3), {1: np.array([0, 1, 2, 3]), 2: np.array([1, 4, 0])})
MASK = ChannelMask((ChannelGroup("g", 0, 4, ("layer",), (0,)),), np.array([True, False, True, False]))


def slices_of(shape: tuple[int, ...], kept: dict[int, np.ndarray]) -> Slices:
    """Slices of a single weight, each of whose axes is a channel group of its own."""
    starts = np.cumsum([0, *shape])
    axes = {axis: np.arange(starts[axis], starts[axis + 1]) for axis in range(len(shape))}
    group = ChannelGroup("g", 0, int(starts[-1]), ("layer",), (0,))
    keep = np.ones(starts[-1], bool)
    for axis, positions in kept.items():
        keep[axes[axis]] = np.isin(np.arange(shape[axis]), positions)
    groups = ChannelGroups(
        groups=(group,),
        unprunable=(),
        weights=(WeightChannels("layer/kernel", shape, axes),),
        layer_outputs=(),
        calls=(),
        inputs=(),
        weight_index={},
    )
    return Slices(groups, ChannelMask((group,), keep))


@st.composite
def shapes_and_kept(draw: Any) -> tuple[tuple[int, ...], dict[int, np.ndarray]]:
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    axes = draw(st.sets(st.integers(0, len(shape) - 1)))
    kept = {axis: np.array(sorted(draw(st.sets(st.integers(0, shape[axis] - 1), min_size=1)))) for axis in axes}
    return shape, kept


@settings(max_examples=20, deadline=None)
@given(drawn=shapes_and_kept())
def test_slices_take_what_numpy_takes_and_widening_is_the_gradient_of_that(drawn: Any) -> None:
    shape, kept = drawn
    slices = slices_of(shape, kept)
    value = tf.constant(np.random.default_rng(0).normal(size=shape))
    with tf.GradientTape() as tape:
        tape.watch(value)
        gathered = value
        for axis, positions in kept.items():
            gathered = tf.gather(gathered, positions, axis=axis)
        loss = tf.reduce_sum(gathered**3)
    np.testing.assert_array_equal(slices.narrow(0, value), slice_array(value.numpy(), kept))
    expected = tf.convert_to_tensor(tape.gradient(loss, value))
    np.testing.assert_array_equal(slices.widen(0, 3 * gathered**2), expected)


def test_a_slice_along_two_axes_reads_a_variable_in_a_graph() -> None:
    variable = keras.Variable(np.arange(24.0).reshape(2, 4, 3))
    slices = slices_of((2, 4, 3), {1: np.array([0, 2]), 2: np.array([1, 2])})
    sliced = tf.function(lambda: slices.narrow(0, variable))()
    np.testing.assert_array_equal(sliced, np.asarray(variable)[:, [0, 2]][:, :, [1, 2]])


def test_weights_that_are_cut_alike_share_their_constants() -> None:
    slices = slices_of((4, 4), {0: np.array([0, 3]), 1: np.array([0, 3])})
    with tf.Graph().as_default() as graph:
        slices.narrow(0, tf.zeros((4, 4)))
        indices = [op for op in graph.get_operations() if op.type == "Const" and op.outputs[0].shape == (2,)]
    assert len([op for op in indices if op.outputs[0].dtype == tf.int64]) == 1


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
