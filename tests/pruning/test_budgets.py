from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from ofar_tf import models
from ofar_tf.pruning.budgets import Budget, check_budgets, parse_budgets, solve_mask
from ofar_tf.pruning.channel_groups import ChannelGroups, find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules, mask_without, rank_channels
from ofar_tf.pruning.costs import Costs

RESOLUTION = 8


def _three_layers() -> ChannelGroups:
    inputs = keras.Input((None, None, 3))
    x = inputs
    for filters in (6, 10, 9):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(x)))
    return find_channel_groups(keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))))


GROUPS = _three_layers()
COSTS = Costs(GROUPS)
WHOLE = COSTS.macs(ChannelMask.full(GROUPS), RESOLUTION)


def _solve(scores: Any, budget: Budget, *, rules: MaskRules, groups: ChannelGroups = GROUPS) -> ChannelMask:
    return solve_mask(groups, np.asarray(scores), budget, resolution=RESOLUTION, rules=rules)


@settings(max_examples=40, deadline=None)
@given(
    scores=st.lists(st.integers(0, 9), min_size=25, max_size=25),
    rules=st.builds(MaskRules, st.integers(1, 4), st.integers(1, 4)),
    share=st.floats(0.3, 1.0),
    by_rate=st.booleans(),
)
def test_the_mask_is_the_most_expensive_one_that_meets_the_budget(
    scores: list[int], rules: MaskRules, share: float, by_rate: bool
) -> None:
    order = rank_channels(GROUPS.groups, np.array(scores, float))
    candidates = [mask_without(GROUPS.groups, order, pruned, rules=rules) for pruned in range(GROUPS.size + 1)]
    macs = [COSTS.macs(mask, RESOLUTION) for mask in candidates]
    if by_rate:
        budget = Budget(rate=1.0 - share)
        fits = [mask.keep.sum() <= share * GROUPS.size + 1e-3 for mask in candidates]
    else:
        budget = Budget(macs=int(share * WHOLE))
        fits = [cost <= share * WHOLE for cost in macs]
    if not any(fits):
        with pytest.raises(ValueError, match="which min_channels and channel_round_to still allow"):
            _solve(scores, budget, rules=rules)
        return
    mask = _solve(scores, budget, rules=rules)
    assert mask == candidates[fits.index(True)]
    assert COSTS.macs(mask, RESOLUTION) == max(cost for cost, fit in zip(macs, fits, strict=True) if fit)


def test_larger_rates_never_cost_more() -> None:
    scores = np.random.default_rng(0).random(GROUPS.size)
    masks = [_solve(scores, Budget(rate=rate / 20), rules=MaskRules(1, 1)) for rate in range(17)]
    macs = [COSTS.macs(mask, RESOLUTION) for mask in masks]
    assert macs[0] == WHOLE
    assert macs == sorted(macs, reverse=True)


def test_a_rate_of_nine_tenths_keeps_a_tenth_in_spite_of_floating_point() -> None:
    inputs = keras.Input((8, 8, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(10, 3)(inputs)))
    groups = find_channel_groups(keras.Model(inputs, layers.Dense(2)(x)))
    assert 1.0 - 0.9 < 0.1
    mask = _solve(np.arange(10.0), Budget(rate=0.9), rules=MaskRules(1, 1), groups=groups)
    assert mask.kept() == {groups.groups[0].name: [9]}


def test_a_budget_of_the_whole_network_prunes_nothing() -> None:
    mask = _solve(np.zeros(25), Budget(macs=WHOLE), rules=MaskRules())
    assert mask.keep.all()


def test_budgets_above_the_supernet_are_refused_with_a_number_that_is_allowed() -> None:
    # 64 positions, 3 x 3 kernels: 3 -> 6 -> 10 -> 9, then 9 -> 2.
    assert WHOLE == 64 * 9 * (18 + 60 + 90) + 18 == 96_786
    with pytest.raises(ValueError) as caught:
        _solve(np.zeros(25), Budget(macs=96_787), rules=MaskRules())
    expected = "Expected MACs budgets of at most the supernet's 96.7K at 8 px. Received: 96.8K."
    assert str(caught.value) == expected


def test_budgets_below_the_floor_are_refused_with_a_number_that_is_allowed() -> None:
    rules = MaskRules(2, 1)
    smallest = 64 * 9 * (6 + 4 + 4) + 4
    assert smallest == 8_068
    with pytest.raises(ValueError) as caught:
        _solve(np.zeros(25), Budget(macs=smallest - 1), rules=rules)
    assert str(caught.value) == (
        "Expected MACs budgets of at least 8.07K, which min_channels and channel_round_to still allow. Received: 8.07K."
    )
    mask = _solve(np.zeros(25), Budget(macs=8_070), rules=rules)
    assert COSTS.macs(mask, RESOLUTION) == smallest


def test_rates_above_the_floor_are_refused() -> None:
    with pytest.raises(ValueError) as caught:
        _solve(np.zeros(25), Budget(rate=0.9), rules=MaskRules(2, 1))
    assert str(caught.value) == (
        "Expected a pruning rate of at most 0.76, which min_channels and channel_round_to still allow. "
        "Received: rate=0.9."
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {},
            "Expected a rate, MACs, parameters or milliseconds. Received: rate=None, macs=None, params=None, ms=None.",
        ),
        ({"rate": 0.5, "macs": 7}, "Expected a rate, MACs, parameters or milliseconds. Received: rate=0.5, macs=7, "),
        ({"ms": 0.0}, "Expected a positive number of milliseconds. Received: ms=0.0."),
        ({"rate": 1.0}, r"Expected a pruning rate in \[0, 1\). Received: rate=1.0."),
        ({"rate": -0.1}, r"Expected a pruning rate in \[0, 1\). Received: rate=-0.1."),
        ({"macs": 0}, "Expected a positive number of MACs. Received: macs=0."),
    ],
)
def test_budgets_that_make_no_sense_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Budget(**arguments)


def test_budgets_are_ordered_from_the_largest_network_and_named_for_files() -> None:
    rates = parse_budgets(pruning_rates=[0.5, 0.0, 0.125])
    assert [budget.name for budget in rates] == ["rate0", "rate12_5", "rate50"]
    macs = parse_budgets(macs_budgets=[253_000_000, 2_840_000_000])
    assert [budget.name for budget in macs] == ["macs2_84g", "macs253m"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"Expected either pruning rates or MACs budgets. Received: pruning_rates=\[\], macs_budgets=\[\]."),
        (
            {"pruning_rates": [0.1], "macs_budgets": [9]},
            r"Expected either pruning rates or MACs budgets. Received: pruning_rates=\[0.1\], macs_budgets=\[9\].",
        ),
        ({"pruning_rates": [0.1]}, "Expected at least two budgets, all different. Received: rate10."),
        (
            {"pruning_rates": [0.1, 0.1, 0.2]},
            "Expected at least two budgets, all different. Received: rate10, rate10, rate20.",
        ),
        ({"macs_budgets": [9000, 9001]}, "Expected at least two budgets, all different. Received: macs9k, macs9k."),
    ],
)
def test_lists_of_budgets_that_make_no_sense_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_budgets(**arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "whole", "pruned"),
    [
        ("mobilenet_v2", {"width_multiplier": 1.5}, 672_832_704, 504_600_000),
        ("resnet50", {}, 4_089_184_256, 2_840_000_000),
    ],
)
def test_a_quarter_of_the_inner_channels_less_is_what_the_paper_reports(
    name: str, arguments: dict[str, Any], whole: int, pruned: int
) -> None:
    groups = find_channel_groups(models.build(name, classes=1000, **arguments))
    mask = solve_mask(groups, np.zeros(groups.size), Budget(rate=0.25), resolution=224, rules=MaskRules(1, 1))
    assert Costs(groups).macs(ChannelMask.full(groups), 224) == whole
    assert Costs(groups).macs(mask, 224) == pytest.approx(pruned, abs=5e5 if name == "mobilenet_v2" else 5e6)


@pytest.mark.parametrize("share", [1.0, 0.6, 0.3])
def test_a_budget_of_parameters_is_the_largest_network_that_has_no_more(share: float) -> None:
    scores, rules = np.random.default_rng(1).random(GROUPS.size), MaskRules(1, 1)
    order = rank_channels(GROUPS.groups, scores)
    candidates = [mask_without(GROUPS.groups, order, pruned, rules=rules) for pruned in range(GROUPS.size + 1)]
    limit = int(share * COSTS.params(candidates[0]))
    mask = _solve(scores, Budget(params=limit), rules=rules)
    assert COSTS.params(mask) == max(count for each in candidates if (count := COSTS.params(each)) <= limit)


def test_a_budget_of_parameters_above_the_supernet_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^Expected parameter budgets of at most the supernet's .* Received: 1G\.$"):
        _solve(np.zeros(25), Budget(params=10**9), rules=MaskRules())


def test_budgets_of_different_kinds_are_not_mixed() -> None:
    with pytest.raises(ValueError, match=r"^Expected budgets of one kind\. Received: rate50, params9k\.$"):
        check_budgets([Budget(rate=0.5), Budget(params=9_000)])


def test_a_budget_that_came_from_a_file_size_is_named_by_it() -> None:
    assert [Budget(params=9_000).name, Budget(params=9_000, file_bytes=250_000).name] == ["params9k", "bytes250k"]


def test_a_pool_of_sixteen_structures_has_falling_costs() -> None:
    budgets = parse_budgets(pruning_rates=[index / 20 for index in range(16)])
    macs = [COSTS.macs(_solve(np.zeros(25), each, rules=MaskRules(1, 1)), RESOLUTION) for each in budgets]
    assert len(macs) == 16 and macs == sorted(macs, reverse=True)


def test_three_quarters_of_a_narrow_network_may_go_by_default() -> None:
    groups = find_channel_groups(models.build("resnet8", classes=2, width_multiplier=0.25))
    assert [group.size for group in groups.groups] == [8, 8, 16]
    for rate, kept in ((0.5, 16), (0.75, 8)):
        mask = solve_mask(groups, np.zeros(32), Budget(rate=rate), resolution=8, rules=MaskRules())
        assert int(mask.keep.sum()) == kept
