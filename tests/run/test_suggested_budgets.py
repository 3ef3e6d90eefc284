from typing import Any

import pytest

from ofar_tf.models.resnet import cifar_resnet
from ofar_tf.pruning.budgets import Budget
from ofar_tf.pruning.channel_groups import ChannelGroups, find_channel_groups
from ofar_tf.pruning.channel_mask import MaskRules
from ofar_tf.run.suggested_budgets import suggest_macs, with_neighbours

RULES = MaskRules(8, 8)


@pytest.fixture(scope="module")
def groups() -> ChannelGroups:
    """ResNet-8: 9,571,712 MACs at 28 px; 3,362,432 at least, where 88 of 112 channels are gone."""
    return find_channel_groups(cifar_resnet(10, depth=8))


@pytest.mark.parametrize(
    ("budget", "names"),
    [
        (Budget(rate=0.5), ["rate45", "rate50", "rate55"]),
        (Budget(rate=0.0), ["rate0", "rate5"]),
        (Budget(rate=0.02), ["rate0", "rate2", "rate7"]),
        (Budget(rate=0.77), ["rate72", "rate77"]),
        # A twentieth of the whole is 478,586 MACs.
        (Budget(macs=5_000_000), ["macs5_48m", "macs5m", "macs4_52m"]),
        (Budget(macs=9_571_712), ["macs9_57m", "macs9_09m"]),
        (Budget(macs=3_362_432), ["macs3_84m", "macs3_36m"]),
    ],
)
def test_a_single_budget_gets_the_neighbours_that_can_be_met(
    groups: ChannelGroups, budget: Budget, names: list[str]
) -> None:
    pool = with_neighbours(budget, groups, resolution=28, rules=RULES)
    assert [each.name for each in pool] == names
    assert budget in pool


def test_a_budget_of_a_file_keeps_its_name_between_neighbours_in_parameters(groups: ChannelGroups) -> None:
    wanted = Budget(params=40_000, file_bytes=50_000)
    pool = with_neighbours(wanted, groups, resolution=28, rules=RULES)
    assert [each.name.partition("k")[0][:6] for each in pool] == ["params", "bytes5", "params"]


def test_a_budget_in_milliseconds_gets_neighbours_in_milliseconds(groups: ChannelGroups, make_predictor: Any) -> None:
    predictor = make_predictor(
        "rescaling", "convolution", "pointwise", "add", "globalaveragepooling2d", "dense"
    )  # A millisecond for each million MACs, 9.57 for all.
    pool = with_neighbours(Budget(ms=5.0), groups, resolution=28, rules=RULES, predictor=predictor)
    assert [each.name for each in pool] == ["ms5_478", "ms5", "ms4_521"]


def test_a_single_budget_that_cannot_be_met_is_refused(groups: ChannelGroups) -> None:
    with pytest.raises(ValueError, match=r"Received: rate=0\.9"):
        with_neighbours(Budget(rate=0.9), groups, resolution=28, rules=RULES)


def test_suggestions_are_round_shares_of_the_whole_that_can_be_met(groups: ChannelGroups) -> None:
    # 75 % is 7.18 M and half is 4.79 M; a quarter is 2.39 M, less than the floor.
    assert suggest_macs(groups, resolution=28, rules=RULES) == (7_100_000, 4_700_000)
