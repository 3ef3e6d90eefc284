import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofar_tf.tasks.uncertainty import (
    chance_of_losses,
    images_to_tell,
    noise_of,
    paired_drop_interval,
    wilson_interval,
)

COUNTS = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 400)).map(
    lambda counts: (counts[0], counts[1], max(1, sum(counts)))
)


def test_the_interval_is_that_of_newcombes_example():
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263, and 0 of 20.
    assert wilson_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0.0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


# Smaller shares than any number of images gives would ask for ends below the rounding of 1.
SHARES = st.integers(0, 10_000).map(lambda count: count / 10_000)


@given(st.integers(1, 2000), SHARES, st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_the_ends_solve_the_equation_of_the_score_test(images, share, confidence):
    low, high = wilson_interval(share, images, confidence=confidence)
    assert 0 <= low <= share <= high <= 1
    deviations = {0.5: 0.674490, 0.9: 1.644854, 0.95: 1.959964, 0.999: 3.290527}[confidence]
    for end in (low, high):
        if 0 < end < 1 and end != share:
            assert abs(share - end) == pytest.approx(deviations * math.sqrt(end * (1 - end) / images), rel=1e-4)


def test_noise_is_about_a_standard_error_and_never_nothing():
    assert noise_of(0.84, 1000) == pytest.approx(math.sqrt(0.84 * 0.16 / 1000), rel=0.04)
    # Where 72 of 72 are right, the interval of one standard error begins at 72/73.
    assert noise_of(1.0, 72) == pytest.approx(1 / 73)


@given(COUNTS)
def test_each_bound_is_the_drop_that_the_score_test_just_rejects(counts):
    losses, gains, images = counts
    low, high = paired_drop_interval(losses, gains, images)
    assert -1 <= low <= (losses - gains) / images <= high <= 1
    for drop, sign in ((low, 1), (high, -1)):
        if -0.999 < drop < 0.999:
            assert sign * score(drop, losses, gains, images) == pytest.approx(1.644854, abs=1e-3)


def score(drop, losses, gains, images):
    """Tango's statistic, its nuisance parameter found by climbing the likelihood instead of by his formula."""
    both = images - losses - gains

    def likelihood(lost):
        won = lost - drop
        terms = ((losses, lost), (gains, won), (both, 1 - lost - won))
        return sum(count * math.log(max(share, 1e-300)) for count, share in terms if count)

    low, high = max(0.0, drop), (1 + drop) / 2
    for _ in range(200):
        first, second = low + (high - low) / 3, high - (high - low) / 3
        low, high = (first, high) if likelihood(first) < likelihood(second) else (low, second)
    lost = (low + high) / 2
    variance = images * (2 * lost - drop - drop**2)
    return (losses - gains - images * drop) / math.sqrt(max(variance, 1e-300))


@given(COUNTS)
def test_exchanging_the_two_turns_the_interval_round(counts):
    losses, gains, images = counts
    low, high = paired_drop_interval(losses, gains, images)
    assert paired_drop_interval(gains, losses, images) == pytest.approx((-high, -low), abs=1e-8)


def test_the_exact_test_counts_the_ways_of_tossing_a_coin():
    assert chance_of_losses(0, 0) == chance_of_losses(0, 7) == 1.0
    assert chance_of_losses(5, 0) == 1 / 32
    assert chance_of_losses(3, 1) == 5 / 16  # Three or four heads in four tosses.
    assert chance_of_losses(30_000, 20_000) < 1e-300 and chance_of_losses(2_500, 2_500) > 0.5


def test_where_two_never_differ_268_images_show_that_they_do_so_by_at_most_a_point():
    images = images_to_tell(0.01, differing=0.0)
    assert images == 268
    assert paired_drop_interval(0, 0, images)[1] <= 0.01 < paired_drop_interval(0, 0, images - 1)[1]


@pytest.mark.parametrize("arguments", [(1.5, 10), (-0.1, 10), (float("nan"), 10), (0.5, 0)])
def test_shares_that_make_no_sense_are_refused(arguments):
    with pytest.raises(ValueError, match="Expected a share"):
        wilson_interval(*arguments)


@pytest.mark.parametrize("counts", [(-1, 0, 5), (3, 3, 5), (0, 0, 0)])
def test_counts_that_make_no_sense_are_refused(counts):
    with pytest.raises(ValueError, match="Expected counts within the images"):
        paired_drop_interval(*counts)
