from typing import Any
from unittest.mock import patch

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


Kept = dict[int, np.ndarray]


def slices_of(*weights: tuple[tuple[int, ...], Kept]) -> Slices:
    """Slices of weights of some shapes, each of whose axes is a channel group of its own."""
    entries, keep = [], []
    for number, (shape, kept) in enumerate(weights):
        axes = {}
        for axis, size in enumerate(shape):
            axes[axis] = np.arange(len(keep), len(keep) + size)
            keep += np.isin(np.arange(size), kept.get(axis, np.arange(size))).tolist()
        entries.append(WeightChannels(f"layer/{number}", shape, axes))
    group = ChannelGroup("g", 0, len(keep), ("layer",), (0,))
    groups = ChannelGroups(
        groups=(group,),
        unprunable=(),
        weights=tuple(entries),
        layer_outputs=(),
        calls=(),
        inputs=(),
        weight_index={},
    )
    return Slices(groups, ChannelMask((group,), np.array(keep)))


@st.composite
def shapes_and_kept(draw: Any) -> tuple[tuple[int, ...], Kept]:
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    axes = draw(st.sets(st.integers(0, len(shape) - 1)))
    kept = {axis: np.array(sorted(draw(st.sets(st.integers(0, shape[axis] - 1), min_size=1)))) for axis in axes}
    return shape, kept


@settings(max_examples=20, deadline=None)
@given(drawn=st.lists(shapes_and_kept(), min_size=1, max_size=4), transposed_from=st.sampled_from((1, 2**13)))
def test_slices_take_what_numpy_takes_and_widening_is_the_gradient_of_that(drawn: Any, transposed_from: int) -> None:
    random = np.random.default_rng(0)
    values = [tf.constant(random.normal(size=shape)) for shape, _ in drawn]
    with tf.GradientTape() as tape:
        tape.watch(values)
        gathered = []
        for value, (_, kept) in zip(values, drawn, strict=True):
            for axis, positions in kept.items():
                value = tf.gather(value, positions, axis=axis)
            gathered.append(value)
        loss = tf.add_n([tf.reduce_sum(each**3) for each in gathered])
    expected = [tf.convert_to_tensor(each) for each in tape.gradient(loss, values)]
    slices, weights = slices_of(*drawn), range(len(drawn))
    with patch("ofar_tf.pruning.slicing._TRANSPOSED_FROM", transposed_from):
        narrowed = slices.narrow(weights, values)
        widened = slices.widen(weights, [3 * each**2 for each in gathered])
    for actual, value, (_, kept) in zip(narrowed, values, drawn, strict=True):
        np.testing.assert_array_equal(actual, slice_array(value.numpy(), kept))
    for actual, gradient in zip(widened, expected, strict=True):
        np.testing.assert_array_equal(actual, gradient)


def test_all_vectors_are_cut_in_one_gather_and_put_back_in_one() -> None:
    slices = slices_of(((4,), {0: np.array([0, 3])}), ((2, 3), {}), ((3,), {0: np.array([1])}))
    with tf.Graph().as_default() as graph:
        narrowed = slices.narrow((0, 2), (tf.zeros(4), tf.zeros(3)))
        slices.widen((0, 2), narrowed)
    assert [each.shape for each in narrowed] == [(2,), (1,)]
    assert [op.type for op in graph.get_operations()].count("GatherV2") == 2


def test_where_there_is_an_accelerator_nothing_is_transposed(monkeypatch: pytest.MonkeyPatch) -> None:
    # Every operation there is a kernel that must be begun, and one thread gathers each number anyway.
    shape, kept = (2, 2**13), {1: np.arange(0, 2**13, 2)}
    found = []
    for accelerated in (False, True):
        monkeypatch.setattr("ofar_tf.pruning.slicing.is_accelerated", lambda accelerated=accelerated: accelerated)
        with tf.Graph().as_default() as graph:
            slices_of((shape, kept)).narrow([0], [tf.zeros(shape)])
        found.append("Transpose" in {op.type for op in graph.get_operations()})
    assert found == [True, False]


def test_a_slice_along_two_axes_reads_a_variable_in_a_graph() -> None:
    variable = keras.Variable(np.arange(24.0).reshape(2, 4, 3))
    slices = slices_of(((2, 4, 3), {1: np.array([0, 2]), 2: np.array([1, 2])}))
    sliced = tf.function(lambda: slices.narrow([0], [variable])[0])()
    np.testing.assert_array_equal(sliced, np.asarray(variable)[:, [0, 2]][:, :, [1, 2]])


def test_weights_that_are_cut_alike_share_their_constants() -> None:
    slices = slices_of(((4, 4), {0: np.array([0, 3]), 1: np.array([0, 3])}))
    with tf.Graph().as_default() as graph:
        slices.narrow([0], [tf.zeros((4, 4))])
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
