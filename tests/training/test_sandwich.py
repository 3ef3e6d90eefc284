from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.text.size import Size
from ofar_tf.training.sandwich import SandwichRule


def draw_many(rule, *, steps, start=0):
    """Returns int `[steps, 4]` structures and resolutions, drawn inside one traced function."""

    @tf.function
    def draw(numbers):
        return tf.map_fn(lambda step: tuple(map(tf.stack, rule.draw(step))), numbers, (tf.int32, tf.int32))

    structures, sizes = draw(tf.range(start, start + steps))
    np.testing.assert_array_equal(sizes[..., 0], sizes[..., 1])
    return structures.numpy(), sizes[..., 0].numpy()


def test_the_draws_are_placed_on_the_host():
    rule = SandwichRule(5, squares(32, 28), seed=7, assistants="all")
    graph = tf.function(lambda step: rule.draw(step)).get_concrete_function(tf.TensorSpec([], tf.int64)).graph
    drawn = [each for each in graph.get_operations() if each.type not in ("Placeholder", "Identity", "NoOp")]
    assert drawn and {each.device for each in drawn} == {"/device:CPU:0"}


def squares(*sides):
    return tuple(map(Size.of, sides))


@pytest.fixture(scope="module")
def many():
    return draw_many(SandwichRule(5, squares(32, 28, 24, 20), seed=7), steps=6000)


def test_the_largest_network_comes_first_at_the_largest_resolution_and_the_smallest_last(many):
    structures, resolutions = many
    assert (structures[:, 0] == 0).all()
    assert (structures[:, 3] == 4).all()
    assert (resolutions[:, 0] == 32).all()


def test_assistants_are_different_middle_structures_in_falling_size(many):
    structures, _ = many
    assert (structures[:, 1] < structures[:, 2]).all()
    assert structures[:, 1:3].min() == 1
    assert structures[:, 1:3].max() == 3


def test_every_pair_of_assistants_is_equally_likely(many):
    pairs = Counter(map(tuple, many[0][:, 1:3].tolist()))
    # Standard deviation of each share: sqrt(1/3 * 2/3 / 6000) = 0.006.
    assert pairs.keys() == {(1, 2), (1, 3), (2, 3)}
    assert all(abs(count / 6000 - 1 / 3) < 0.03 for count in pairs.values())


def test_each_other_network_draws_every_resolution_equally_often_and_independently(many):
    structures, resolutions = many
    for position in (1, 2, 3):
        shares = [(resolutions[:, position] == size).mean() for size in (32, 28, 24, 20)]
        np.testing.assert_allclose(shares, 0.25, atol=0.03)
    triples = Counter(map(tuple, resolutions[:, 1:].tolist()))
    assert len(triples) == 4**3
    # Not tied to the structures either: 12 combinations of pair and student resolution, each with share 1/12.
    tied = Counter(zip(map(tuple, structures[:, 1:3].tolist()), resolutions[:, 3].tolist(), strict=True))
    assert all(abs(count / 6000 - 1 / 12) < 0.02 for count in tied.values())
    assert len(tied) == 12


def test_the_draw_depends_on_seed_and_step_only(many):
    structures, resolutions = many
    tf.random.set_seed(123)
    later, at = draw_many(SandwichRule(5, squares(32, 28, 24, 20), seed=7), start=100, steps=50)
    np.testing.assert_array_equal(later, structures[100:150])
    np.testing.assert_array_equal(at, resolutions[100:150])
    eager = [
        SandwichRule(5, squares(32, 28, 24, 20), seed=7).draw(tf.constant(step, tf.int64)) for step in range(100, 103)
    ]
    np.testing.assert_array_equal([np.stack(drawn) for drawn, _ in eager], structures[100:103])
    other, _ = draw_many(SandwichRule(5, squares(32, 28, 24, 20), seed=8), start=100, steps=50)
    assert (other != later).any()


@pytest.mark.parametrize(
    ("structures", "assistants"),
    [
        (2, {(0, 0), (0, 1), (1, 1)}),
        (3, {(1, 1)}),
        (4, {(1, 2)}),
    ],
)
def test_with_fewer_than_five_structures_there_are_still_four_networks(structures, assistants):
    drawn, _ = draw_many(SandwichRule(structures, squares(16), seed=0), steps=200)
    assert set(map(tuple, drawn[:, 1:3].tolist())) == assistants
    assert (drawn[:, 3] == structures - 1).all()


@pytest.mark.parametrize(
    ("structures", "settings", "students"),
    [
        (2, {}, {0, 1}),
        (2, {"every_structure": True}, {1}),
        (3, {}, {1, 2}),
        (5, {}, {1, 2, 3, 4}),
        (5, {"every_structure": True, "largest_first": False}, {1, 2, 3, 4}),
        (5, {"assistants": "all"}, {0, 1, 2, 3, 4}),
    ],
)
def test_students_are_the_structures_that_the_networks_after_the_first_are_drawn_from(structures, settings, students):
    rule = SandwichRule(structures, squares(16), seed=0, **settings)
    drawn, _ = draw_many(rule, steps=200)
    assert set(drawn[:, 1:].ravel().tolist()) == students == set(rule.students)


def test_fewer_than_two_structures_are_refused():
    with pytest.raises(ValueError, match="at least two structures"):
        SandwichRule(1, squares(16), seed=0)


@pytest.mark.parametrize("sides", [(), (16, 24), (16, 16)])
def test_resolutions_that_are_not_different_and_in_order_are_refused(sides):
    with pytest.raises(ValueError, match="different resolutions, largest first"):
        SandwichRule(3, squares(*sides), seed=0)


def test_assistants_may_be_any_two_structures_the_largest_included():
    drawn, sizes = draw_many(SandwichRule(3, squares(32, 20), seed=1, assistants="all"), steps=3000)
    pairs = Counter(map(tuple, drawn[:, 1:3].tolist()))
    assert pairs.keys() == {(0, 1), (0, 2), (1, 2)}
    assert all(abs(count / 3000 - 1 / 3) < 0.03 for count in pairs.values())
    assert (sizes[drawn[:, 1] == 0, 1] == 20).any()
    with pytest.raises(ValueError, match="assistants out of middle, all"):
        SandwichRule(3, squares(32), seed=0, assistants="none")
