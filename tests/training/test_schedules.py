import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.training.schedules import SearchThenDecay


def rates(schedule, *steps):
    return [float(schedule(step)) for step in steps]


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        # At a quarter, a half and three quarters of the 40 steps after the search.
        ("cosine", [0.5 * (2 + 2**0.5) / 2, 0.5, 0.5 * (2 - 2**0.5) / 2]),
        ("linear", [0.75, 0.5, 0.25]),
        ("constant", [1.0, 1.0, 1.0]),
    ],
)
def test_the_rate_after_the_search_has_the_values_computed_by_hand(decay, expected):
    schedule = SearchThenDecay(1.0, search=0.3, search_steps=10, total_steps=50, decay=decay)
    assert rates(schedule, 0, 9) == pytest.approx([0.3, 0.3])
    assert rates(schedule, 10) == pytest.approx([1.0])
    assert rates(schedule, 20, 30, 40) == pytest.approx(expected)


@pytest.mark.parametrize("decay", ["cosine", "linear"])
def test_the_rate_has_reached_zero_when_the_last_step_is_done(decay):
    schedule = SearchThenDecay(0.5, search=0.5, search_steps=2, total_steps=12, decay=decay)
    assert rates(schedule, 12, 13) == pytest.approx([0.0, 0.0], abs=1e-7)
    assert rates(schedule, 11)[0] > 1e-3


def test_a_search_that_ends_early_starts_the_decay_early():
    end = keras.Variable(2**31 - 1, dtype="int32", trainable=False)
    schedule = SearchThenDecay(1.0, search=0.2, search_steps=end, total_steps=20, decay="linear")
    traced = tf.function(lambda step: schedule(step))
    assert float(traced(tf.constant(19))) == pytest.approx(0.2)
    end.assign(4)
    np.testing.assert_allclose([float(traced(tf.constant(step))) for step in (3, 4, 12)], [0.2, 1.0, 0.5], rtol=1e-6)


def test_a_run_that_only_searches_keeps_the_rate_of_the_search():
    schedule = SearchThenDecay(1.0, search=0.2, search_steps=30, total_steps=20)
    assert rates(schedule, 0, 19) == pytest.approx([0.2, 0.2])


def test_the_configuration_gives_the_same_schedule_back():
    end = keras.Variable(3, dtype="int32", trainable=False)
    schedule = SearchThenDecay(0.5, search=0.2, search_steps=end, total_steps=12, decay="linear")
    again = SearchThenDecay.from_config(schedule.get_config())
    assert rates(again, *range(13)) == rates(schedule, *range(13))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"initial": 0.0}, "positive learning rates"),
        ({"search": -0.1}, "positive learning rates"),
        ({"finetune": 0.0}, "positive learning rates"),
        ({"total_steps": 0}, "at least one training step"),
        ({"decay": "step"}, "cosine, linear, constant"),
    ],
)
def test_impossible_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        SearchThenDecay(**{"initial": 0.1, "search": 0.1, "search_steps": 1, "total_steps": 2, **change})


def test_the_rate_may_rise_over_the_first_steps():
    schedule = SearchThenDecay(1.0, search=0.4, search_steps=2, total_steps=12, decay="constant", warmup_steps=4)
    # A quarter more at each step; the search, at 0.4, ends after two.
    assert rates(schedule, 0, 1, 2, 3, 4, 11) == pytest.approx([0.1, 0.2, 0.75, 1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="0 to 12 steps of warm-up"):
        SearchThenDecay(1.0, search=0.4, search_steps=2, total_steps=12, warmup_steps=13)


def test_structures_that_train_on_alone_have_a_rate_of_their_own_that_falls_to_zero():
    schedule = SearchThenDecay(
        1.0, search=0.4, search_steps=2, total_steps=12, decay="linear", finetune=0.2, finetune_steps=4
    )
    assert rates(schedule, 0, 7, 11) == pytest.approx([0.4, 0.5, 0.1])
    assert rates(schedule, 12, 13, 14, 15, 16) == pytest.approx([0.2, 0.15, 0.1, 0.05, 0.0])
    assert rates(SearchThenDecay.from_config(schedule.get_config()), 7, 13) == pytest.approx([0.5, 0.15])


def test_the_head_learns_at_the_rate_of_the_search_and_the_rate_rises_after_that():
    schedule = SearchThenDecay(
        1.0, search=0.4, search_steps=5, total_steps=12, decay="constant", warmup_steps=4, head_steps=3
    )
    assert rates(schedule, 0, 2) == pytest.approx([0.4, 0.4])
    assert rates(schedule, 3, 4, 5, 6, 11) == pytest.approx([0.1, 0.2, 0.75, 1.0, 1.0])
    with pytest.raises(ValueError, match="0 to 9 steps of warm-up"):
        SearchThenDecay(1.0, search=0.4, search_steps=5, total_steps=12, warmup_steps=10, head_steps=3)
