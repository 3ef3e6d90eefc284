import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofar_tf.pruning.propagation import Propagation


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_merged_channels_are_the_connected_components_named_by_their_smallest(case: tuple) -> None:
    count, pairs = case
    found = Propagation()
    found.new(count)
    reach = np.eye(count, dtype=bool)
    for first, second in pairs:
        found.tie(np.array([first]), np.array([second]))
        reach[first, second] = reach[second, first] = True
    for _ in range(count):
        reach = reach @ reach
    np.testing.assert_array_equal(found.merged(), reach.argmax(axis=1))


def test_a_layer_called_twice_owns_its_weight_once_and_ties_both_inputs() -> None:
    found, kernel = Propagation(), keras.Variable(np.zeros((3, 2)))
    first, second = found.new(3), found.new(3)
    assert found.own(kernel, 0, first) is found.own(kernel, -2, second)
    merged = found.merged()
    np.testing.assert_array_equal(merged[first], merged[second])


def test_runs_of_different_length_cannot_be_tied() -> None:
    with pytest.raises(ValueError, match=r"Expected equally many channels to tie. Received: 2 and 3."):
        Propagation().tie(np.arange(2), np.arange(3))


def test_the_networks_own_reason_comes_before_a_gap_in_the_library() -> None:
    found = Propagation()
    ids = found.new(3)
    found.block(ids, "unknown")
    found.stream.append(ids[:2])
    found.fix(ids[:1], "an input")
    reasons = found.reasons(found.merged(), prune_residual_stream=False)
    assert reasons == {0: "an input", 1: "it is part of the residual stream", 2: "unknown"}
    assert found.reasons(found.merged(), prune_residual_stream=True) == {0: "an input", 1: "unknown", 2: "unknown"}
