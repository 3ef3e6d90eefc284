import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofar_tf.search.mask_similarity import above_chance, cosine_similarity


def as_mask(text):
    return np.array([letter == "1" for letter in text])


def test_the_cosine_of_two_masks_is_what_they_share_over_the_geometric_mean_of_their_counts():
    # Shared: 1. Kept: 2 and 3. 1 / sqrt(6).
    assert cosine_similarity(as_mask("11000"), as_mask("01011")) == pytest.approx(0.408248290)


def test_masks_that_share_nothing_have_cosine_0():
    assert cosine_similarity(as_mask("1100"), as_mask("0011")) == 0.0


@given(st.lists(st.booleans(), min_size=1, max_size=50).filter(any))
def test_equal_masks_have_cosine_exactly_1(keep):
    assert cosine_similarity(np.array(keep), np.array(keep)) == 1.0


@given(st.integers(2, 40), st.data())
def test_the_printed_equation_3_is_half_the_cosine_for_masks_that_keep_equally_many(size, data):
    kept = data.draw(st.integers(1, size))
    first, second = np.zeros((2, size), bool)
    first[data.draw(st.permutations(range(size)))[:kept]] = True
    second[data.draw(st.permutations(range(size)))[:kept]] = True
    printed = np.sum(first * second) / (np.sum(first**2.0) + np.sum(second**2.0))
    assert cosine_similarity(first, second) == pytest.approx(2 * printed)


@pytest.mark.parametrize(("first", "second"), [("110", "11"), ("000", "110"), ("110", "000")])
def test_masks_that_cannot_be_compared_are_refused(first, second):
    with pytest.raises(ValueError, match="same length that keep something"):
        cosine_similarity(as_mask(first), as_mask(second))


@given(rate=st.sampled_from([0.2, 0.5, 0.8]), seed=st.integers(0, 100))
def test_random_masks_score_0_above_chance(rate, seed):
    random, size = np.random.default_rng(seed), 2000
    kept = round((1 - rate) * size)
    masks = [random.permutation(np.arange(size) < kept) for _ in range(2)]
    # The overlap is hypergeometric: its standard deviation, over kept and over rate, is about 0.022 for all three.
    assert abs(above_chance(cosine_similarity(*masks), rate)) < 0.12


def test_above_chance_is_1_for_equal_masks_and_negative_below_chance():
    assert above_chance(1.0, 0.3) == pytest.approx(1.0)
    assert above_chance(0.6, 0.2) == pytest.approx(-1.0)


def test_without_pruning_there_is_no_chance_to_correct_for():
    assert math.isnan(above_chance(1.0, 0.0))
