"""Numbers by hand: a 1x1 and a 3x3 convolution of eight channels each, both prunable, then two classes."""

import io

import keras
import numpy as np
import pytest
from rich.console import Console

from ofar_tf.pruning.budgets import Budget, parse_budgets
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import MaskRules
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.explanation import explain, explain_groups
from ofar_tf.search.plan import plan_pool, print_plan

RULES = MaskRules(1, 1)


@pytest.fixture(scope="module")
def groups():
    layers = keras.layers
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 1, use_bias=False, name="first")(image)
    x = layers.ReLU()(layers.BatchNormalization(name="first_bn")(x))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="second")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="second_bn")(x))
    x = layers.GlobalAveragePooling2D()(x)
    return find_channel_groups(keras.Model(image, layers.Dense(2, name="logits")(x)))


def printed(print_it, *arguments, **options):
    console = Console(file=io.StringIO(), width=200)
    print_it(*arguments, console=console, **options)
    return console.file.getvalue()


def test_a_plan_of_rates_counts_channels_macs_and_parameters(groups):
    whole, half = plan_pool(groups, parse_budgets(pruning_rates=[0.0, 0.5]), resolutions=[4, 2], rules=RULES)
    # Positions x kernel entries: 16 x (3x8 + 9x8x8) + 8x2, then a quarter of the positions.
    assert whole.macs == (16 * (24 + 576) + 16, 4 * (24 + 576) + 16)
    assert half.macs == (16 * (12 + 144) + 8, 4 * (12 + 144) + 8)
    assert (half.nominal_rate, half.channel_rate) == (0.5, 0.5)
    assert half.macs_rate == pytest.approx(1 - 2504 / 9616)
    # Kernels, four numbers for each normalized channel, kernel and bias of the classes.
    assert half.params == 12 + 16 + 144 + 16 + 8 + 2
    assert half.rates == (0.5, 0.5)


def test_a_budget_in_macs_needs_less_pruning_at_a_lower_resolution(groups):
    large, small = plan_pool(groups, parse_budgets(macs_budgets=[9616, 2504]), resolutions=[4, 2], rules=RULES)
    assert (large.nominal_rate, large.macs_rate, large.rates) == (None, 0.0, (0.0, 0.0))
    assert small.macs[0] == 2504
    # At 2 px the whole network takes 2416 multiply-adds, which the budget allows.
    assert small.rates == (0.5, 0.0)


def test_a_plan_keeps_the_channels_that_the_weights_rank_highest(groups):
    # Two channels of eight are worth keeping in the first layer, all eight in the second: at 3/8 the first keeps two.
    scores = np.array([1.0] * 2 + [0.0] * 6 + [1.0] * 8)
    budgets = parse_budgets(pruning_rates=[0.0, 0.375])
    _, ranked = plan_pool(groups, budgets, resolutions=[4], rules=RULES, scores=scores)
    _, equal = plan_pool(groups, budgets, resolutions=[4], rules=RULES)
    assert ranked.macs == (16 * (3 * 2 + 9 * 2 * 8) + 8 * 2,)
    assert equal.macs == (16 * (3 * 5 + 9 * 5 * 5) + 5 * 2,)


@pytest.mark.parametrize(
    ("ranked", "words"), [(False, "counted as equally important"), (True, "ranked by the weights")]
)
def test_a_plan_says_what_channels_were_ranked_by(groups, ranked, words):
    planned = plan_pool(groups, parse_budgets(pruning_rates=[0.0, 0.5]), resolutions=[4], rules=RULES)
    assert words in printed(print_plan, planned, resolutions=[4], ranked=ranked)


def test_a_plan_is_printed_with_its_rates_side_by_side(groups):
    budgets = parse_budgets(macs_budgets=[9616, 2504])
    text = printed(print_plan, plan_pool(groups, budgets, resolutions=[4, 2], rules=RULES), resolutions=[4, 2])
    (row,) = [line for line in text.splitlines() if "macs2_5k" in line]
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "macs2_5k",
        "-",
        "50.0%",
        "74.0%",
        "198",
        "2.5K (50%)",
        "632 (0%)",
    ]


def test_a_plan_for_a_device_has_the_milliseconds_at_each_resolution(groups, make_predictor):
    predictor = make_predictor("pointwise", "convolution", "globalaveragepooling2d", "dense")
    budgets, costs = [Budget(ms=9616e-6), Budget(ms=2504e-6)], Costs(groups, predictor)
    large, small = plan_pool(groups, budgets, resolutions=[4, 2], rules=RULES, costs=costs)
    # A millisecond for each million of the multiply-adds above.
    assert (large.milliseconds, small.milliseconds) == (
        pytest.approx((9616e-6, 2416e-6)),
        pytest.approx((2504e-6, 632e-6)),
    )
    assert (large.rates, small.rates) == ((0.0, 0.0), (0.5, 0.0))
    text = printed(print_plan, [large, small], resolutions=[4, 2], predictor=predictor)
    assert "ms at 4 px" in " ".join(text.split())
    (row,) = [line for line in text.splitlines() if "ms0_002504" in line]
    assert [cell.strip() for cell in row.strip("│").split("│")][-2:] == ["0.0025", "0.000632"]
    assert "predicted for Pixel 8, 2 threads, float32, within 3.0% for half of 40 structures" in " ".join(text.split())


def test_an_explanation_names_the_layers_the_norms_and_the_macs_of_each_group(groups):
    first, second = explain_groups(groups, resolution=4)
    assert (first.name, first.channels, first.layers) == ("first", 8, ("first", "first_bn", "second"))
    assert (first.norms, second.norms) == (("first_bn",), ("second_bn",))
    # The 3x3 kernel is between the two groups and counts for both.
    assert (first.macs, second.macs) == (16 * 24 + 16 * 576, 16 * 576 + 16)


def test_an_explanation_says_what_stays_whole_and_why(groups):
    text = printed(explain(groups, resolution=4).print)
    assert "16 prunable channels in 2 groups" in text
    assert [cell.strip() for cell in text.splitlines()[-2].strip("│").split("│")] == [
        "logits",
        "2",
        "0",
        "it is an output of the model",
        "",
    ]
