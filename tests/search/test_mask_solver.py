from itertools import pairwise

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofar_tf.pruning.budgets import Budget
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import MaskRules
from ofar_tf.pruning.costs import Costs
from ofar_tf.search.mask_solver import MaskSolver
from ofar_tf.search.pool_spec import PoolSpec


@pytest.fixture(scope="module")
def network():
    """Eight channels through a depthwise convolution, then six."""
    layers = keras.layers
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", name="stem")(image)
    x = layers.ReLU()(layers.BatchNormalization(name="stem_bn")(x))
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="depthwise_bn")(x))
    x = layers.ReLU()(layers.BatchNormalization(name="last_bn")(layers.Conv2D(6, 3, name="last")(x)))
    return keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))


@pytest.fixture(scope="module")
def groups(network):
    return find_channel_groups(network)


def solver_of(groups, *, rates=(), macs=(), ms=(), importance="gamma", nested=False, predictor=None):
    spec = PoolSpec.of(
        pruning_rates=rates,
        macs_budgets=macs,
        budgets=[Budget(ms=each) for each in ms],
        predictor=predictor,
        resolutions=[8],
        importance=importance,
        rules=MaskRules(1, 1),
        nested=nested,
    )
    return MaskSolver(groups, Costs(groups, predictor), spec, seed=0)


def weights_with(network, **gammas):
    """The network's weights with other gammas."""
    given = {f"{name}/gamma": value for name, value in gammas.items()}
    return [np.asarray(given.get(weight.path, weight)) for weight in network.weights]


def random_gammas(network, random):
    return weights_with(
        network,
        **{name: random.uniform(size=size) for name, size in (("stem_bn", 8), ("depthwise_bn", 8), ("last_bn", 6))},
    )


def test_masks_keep_the_channels_with_the_largest_mean_absolute_gamma(network, groups):
    stem = np.array([0.1, 0.2, -3.0, 0.1, 0.1, 0.1, 0.1, 0.1])
    weights = weights_with(network, stem_bn=stem, depthwise_bn=np.full(8, 0.1), last_bn=np.ones(6))
    # Seven of fourteen stay: the stem's third, whose mean is 1.55, and all six of the last convolution.
    kept = solver_of(groups, rates=[0.0, 0.5]).solve(weights)[1].kept()
    assert list(kept.values()) == [[2], [0, 1, 2, 3, 4, 5]]


def test_macs_budgets_are_met_again_at_every_epoch(network, groups):
    random, costs = np.random.default_rng(0), Costs(groups)
    for _ in range(5):
        masks = solver_of(groups, macs=[20_000, 10_000]).solve(random_gammas(network, random))
        spent = [costs.macs(mask, 8) for mask in masks]
        assert 14_000 < spent[0] <= 20_000
        assert 5_000 < spent[1] <= 10_000


def test_budgets_in_milliseconds_are_met_again_at_every_epoch(network, groups, make_predictor):
    predictor = make_predictor("convolution", "depthwise", "globalaveragepooling2d", "dense")
    random, costs = np.random.default_rng(0), Costs(groups, predictor)
    for _ in range(5):
        masks = solver_of(groups, ms=[0.025, 0.015], predictor=predictor).solve(random_gammas(network, random))
        spent = [costs.milliseconds(mask, 8) for mask in masks]
        assert 0.019 < spent[0] <= 0.025
        assert 0.010 < spent[1] <= 0.015


def test_budgets_in_milliseconds_need_a_device(groups):
    with pytest.raises(ValueError, match="Expected the device that budgets in milliseconds are for"):
        solver_of(groups, ms=[0.025, 0.015])


@given(seed=st.integers(0, 1000), first=st.booleans(), second=st.booleans(), last=st.booleans())
def test_nested_masks_lie_within_the_larger_ones_whichever_are_frozen(network, groups, seed, first, second, last):
    solver = solver_of(groups, rates=[0.2, 0.4, 0.6, 0.8], nested=True)
    random = np.random.default_rng(seed)
    early = solver.solve(random_gammas(network, random))
    fixed = [first, second, False, last]
    frozen = [mask if is_fixed else None for mask, is_fixed in zip(early, fixed, strict=True)]
    derived = solver.solve(random_gammas(network, random), frozen=frozen)
    masks = [old or new for old, new in zip(frozen, derived, strict=True)]
    for larger, smaller in pairwise(masks):
        assert not (smaller.keep & ~larger.keep).any()


def test_without_nesting_frozen_masks_change_nothing(network, groups):
    solver, random = solver_of(groups, rates=[0.2, 0.6]), np.random.default_rng(0)
    early, weights = solver.solve(random_gammas(network, random)), random_gammas(network, random)
    assert solver.solve(weights, frozen=[early[0], None]) == solver.solve(weights)


def test_gammas_that_are_no_numbers_are_refused(network, groups):
    weights = weights_with(network, last_bn=np.full(6, np.nan))
    with pytest.raises(ValueError, match="finite importance scores"):
        solver_of(groups, rates=[0.2, 0.6]).solve(weights)


def test_an_unknown_criterion_is_refused(groups):
    with pytest.raises(ValueError, match=r"importance of gamma, .*Received: 'size'"):
        solver_of(groups, rates=[0.2, 0.6], importance="size")
