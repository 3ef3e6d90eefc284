"""Budgets for those who gave one, or none."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ofar_tf.pruning.budgets import Budget, cost_of, solve_mask
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.latency_predictor import LatencyPredictor
from ofar_tf.text.size import Resolution

# Section 4.3 of the paper trains one rate as the middle of three (DESIGN D19).
_APART = 0.05
_SHARES = (0.75, 0.5, 0.25)
_FASTEST_MS = 1e-6
# How the amounts of neighbours are rounded; multiply-adds and parameters are whole. Milliseconds go down.
_NUMBERS: dict[str, Callable[[float], float]] = {
    "rate": lambda value: round(value, 6),
    "ms": lambda value: math.floor(value * 1000) / 1000 or value,
}


def with_neighbours(
    budget: Budget,
    groups: ChannelGroups,
    *,
    resolution: Resolution,
    rules: MaskRules,
    predictor: LatencyPredictor | None = None,
) -> tuple[Budget, ...]:
    """Makes a pool around a single budget: a little more and a little less of the whole network, as Section 4.3 does.

    Args:
        budget: The one that is wanted.
        groups: The supernet's channel groups.
        resolution: At which MACs and milliseconds are counted.
        rules: Floor and rounding.
        predictor: The device of a budget in milliseconds.

    Returns:
        Two or three budgets, the largest first; a neighbour that cannot be met is left out.

    Raises:
        ValueError: If the budget itself cannot be met.
    """
    costs, full, kind = Costs(groups, predictor), ChannelMask.full(groups), budget.kind
    _require_met(budget, groups, costs, resolution=resolution, rules=rules)
    whole = 1.0 if kind == "rate" else cost_of(full, budget, costs=costs, resolution=resolution)
    least = {"rate": 0.0, "ms": _FASTEST_MS}.get(kind, 1)
    values = [min(max(budget.amount + sign * _APART * whole, least), whole) for sign in (-1, 1)]
    numbers = [_NUMBERS.get(kind, int)(value) for value in values]
    around = [_like(budget, number) for number in numbers if number != budget.amount]
    met = [near for near in around if _is_met(near, groups, costs, resolution=resolution, rules=rules)]
    ordered: Sequence[Budget] = sorted([budget, *met], key=lambda each: each.amount, reverse=kind != "rate")
    return tuple({each.name: each for each in ordered}.values())


def _like(budget: Budget, amount: float) -> Budget:
    changes: dict[str, Any] = {budget.kind: amount}
    return replace(budget, file_bytes=None, **changes)


def suggest_macs(groups: ChannelGroups, *, resolution: Resolution, rules: MaskRules) -> tuple[int, ...]:
    """Suggests budgets for a network: three quarters, a half and a quarter of its MACs, as far as they can be met.

    Args:
        groups: The supernet's channel groups.
        resolution: At which MACs are counted.
        rules: Floor and rounding.

    Returns:
        MACs in round numbers, the largest first.
    """
    costs = Costs(groups)
    whole = costs.macs(ChannelMask.full(groups), resolution)
    budgets = [Budget(macs=_round(share * whole)) for share in _SHARES]
    met = [budget for budget in budgets if _is_met(budget, groups, costs, resolution=resolution, rules=rules)]
    return tuple(int(budget.macs or 0) for budget in met)


def _round(count: float) -> int:
    """Keeps two digits, rounded down: the number printed is within the number meant."""
    unit = 10 ** max(0, len(str(int(count))) - 2)
    return max(1, int(count) // unit * unit)


def _require_met(
    budget: Budget, groups: ChannelGroups, costs: Costs, *, resolution: Resolution, rules: MaskRules
) -> None:
    solve_mask(groups, np.zeros(groups.size), budget, resolution=resolution, rules=rules, costs=costs)


def _is_met(budget: Budget, groups: ChannelGroups, costs: Costs, *, resolution: Resolution, rules: MaskRules) -> bool:
    try:
        _require_met(budget, groups, costs, resolution=resolution, rules=rules)
    except ValueError:
        return False
    return True
