"""From budgets to masks: the largest network that still fits, after floor and rounding (DESIGN D18).

Algorithm 1 of the paper turns compute budgets into pruning rates once, roughly. Here the real cost of each candidate
mask is counted, so a frozen structure meets its budget.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules, mask_without, rank_channels
from ofar_tf.pruning.costs import Costs
from ofar_tf.text.quantities import format_quantity
from ofar_tf.text.size import Resolution

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Budget:
    """What one structure of the pool may cost. Exactly one of `rate`, `macs`, `params` and `ms` is given.

    Attributes:
        rate: The share of prunable channels removed, in [0, 1).
        macs: Multiply-adds of one image at the largest resolution.
        params: Number of weights, moving statistics included.
        ms: Milliseconds of one image at the largest resolution, as predicted for a device.
        file_bytes: The size of a file that `params` was derived from; it only names the structure.

    Raises:
        ValueError: If none or several are given, or one is out of range.
    """

    rate: float | None = None
    macs: int | None = None
    params: int | None = None
    ms: float | None = None
    file_bytes: int | None = None

    def __post_init__(self) -> None:
        if [self.rate, self.macs, self.params, self.ms].count(None) != 3:
            raise ValueError(
                "Expected a rate, MACs, parameters or milliseconds. "
                f"Received: rate={self.rate}, macs={self.macs}, params={self.params}, ms={self.ms}."
            )
        if self.rate is not None and not 0.0 <= self.rate < 1.0:
            raise ValueError(f"Expected a pruning rate in [0, 1). Received: rate={self.rate}.")
        if self.macs is not None and self.macs < 1:
            raise ValueError(f"Expected a positive number of MACs. Received: macs={self.macs}.")
        if self.params is not None and self.params < 1:
            raise ValueError(f"Expected a positive number of parameters. Received: params={self.params}.")
        if self.ms is not None and not 0 < self.ms < float("inf"):
            raise ValueError(f"Expected a positive number of milliseconds. Received: ms={self.ms}.")

    @property
    def name(self) -> str:
        """The structure's name in files: `rate25`, `rate12_5`, `macs504m`, `params1_2m`, `bytes250k`, `ms2_5`."""
        if self.rate is not None:
            return "rate" + f"{100 * self.rate:.6g}".replace(".", "_").replace("-", "_")
        if self.ms is not None:
            return "ms" + f"{self.ms:.6g}".replace(".", "_").replace("-", "_").replace("+", "")
        units = (("bytes", self.file_bytes), ("params", self.params), ("macs", self.macs))
        unit, count = next((unit, count) for unit, count in units if count is not None)
        return unit + format_quantity(count).lower().replace(".", "_")

    @property
    def kind(self) -> str:
        """Which of `rate`, `macs`, `params` and `ms` is given."""
        return next(kind for kind in ("rate", "macs", "params", "ms") if getattr(self, kind) is not None)

    @property
    def amount(self) -> float:
        """What is given."""
        return float(getattr(self, self.kind))

    @property
    def most(self) -> float:
        """What a mask may cost in that unit; milliseconds are a sum of many numbers, which is rounded."""
        return self.amount * (1.0 + _ROUNDING) if self.kind == "ms" else self.amount


def parse_budgets(*, pruning_rates: Sequence[float] = (), macs_budgets: Sequence[int] = ()) -> tuple[Budget, ...]:
    """Makes the budgets of a pool, largest network first.

    Args:
        pruning_rates: Shares of channels in [0, 1), at least two different ones; or
        macs_budgets: multiply-adds at the largest resolution, at least two different ones. Exactly one is given.

    Raises:
        ValueError: If both or none are given, or fewer than two different ones.
    """
    if bool(pruning_rates) == bool(macs_budgets):
        raise ValueError(
            "Expected either pruning rates or MACs budgets. "
            f"Received: pruning_rates={list(pruning_rates)}, macs_budgets={list(macs_budgets)}."
        )
    return check_budgets(
        [*(Budget(rate=rate) for rate in pruning_rates), *(Budget(macs=macs) for macs in macs_budgets)]
    )


def check_budgets(budgets: Sequence[Budget]) -> tuple[Budget, ...]:
    """Orders the budgets of a pool, largest network first.

    Args:
        budgets: At least two, all of one kind and with different names.

    Raises:
        ValueError: If there are fewer, or two would have the same name, or kinds are mixed.
    """
    names = [budget.name for budget in budgets]
    if len(budgets) < 2 or len(set(names)) < len(names):
        raise ValueError(f"Expected at least two budgets, all different. Received: {', '.join(names)}.")
    if len({budget.kind for budget in budgets}) > 1:
        raise ValueError(f"Expected budgets of one kind. Received: {', '.join(names)}.")
    return tuple(sorted(budgets, key=lambda budget: budget.amount if budget.kind == "rate" else -budget.amount))


def solve_mask(
    groups: ChannelGroups,
    scores: np.ndarray,
    budget: Budget,
    *,
    resolution: Resolution,
    rules: MaskRules,
    costs: Costs | None = None,
) -> ChannelMask:
    """Finds the largest mask that fits a budget.

    Args:
        groups: The supernet's channel groups.
        scores: float `[channels]` of `channel_importance`.
        budget: What the mask may cost.
        resolution: The resolution at which MACs and milliseconds are counted, in pixels.
        rules: Floor and rounding.
        costs: Counter for `groups`, to reuse its shape inference over epochs; budgets in milliseconds need one that
            knows the device.

    Raises:
        ValueError: If the budget is above the supernet's cost or below what floor and rounding allow.
    """
    counter = costs or Costs(groups)
    order = rank_channels(groups.groups, scores)

    def mask(pruned: int) -> ChannelMask:
        return mask_without(groups.groups, order, pruned, rules=rules)

    def cost(pruned: int) -> float:
        return cost_of(mask(pruned), budget, costs=counter, resolution=resolution)

    # A thousandth of a channel: 1.0 - 0.9 is a little less than a tenth.
    limit = (1.0 - budget.amount) * groups.size + 1e-3 if budget.kind == "rate" else budget.most
    if budget.kind != "rate" and budget.amount > cost(0) * (1.0 + _ROUNDING):
        where = "" if budget.kind == "params" else f" at {resolution} px"
        raise ValueError(
            f"Expected {_NOUNS[budget.kind]} budgets of at most the supernet's {_round(cost(0), budget)}{where}. "
            f"Received: {_text(budget.amount, budget)}."
        )
    if cost(groups.size) > limit:
        _refuse_below_floor(mask(groups.size), budget, cost(groups.size))
    # Cost never rises with the number of pruned channels, so the first number that fits keeps the most.
    return mask(bisect_left(range(groups.size + 1), True, key=lambda pruned: cost(pruned) <= limit))


def cost_of(mask: ChannelMask, budget: Budget, *, costs: Costs, resolution: Resolution) -> float:
    """Returns what a mask costs in the unit of a budget; for a rate the number of channels that it keeps.

    Args:
        mask: The mask.
        budget: The budget.
        costs: Counter of the costs.
        resolution: At which MACs and milliseconds are counted.
    """
    if budget.kind == "macs":
        return costs.macs(mask, resolution)
    if budget.kind == "ms":
        return costs.milliseconds(mask, resolution)
    return costs.params(mask) if budget.kind == "params" else float(mask.keep.sum())


_NOUNS = {"macs": "MACs", "params": "parameter", "ms": "millisecond"}


def _refuse_below_floor(smallest: ChannelMask, budget: Budget, cost: float) -> None:
    if budget.rate is not None:
        raise ValueError(
            f"Expected a pruning rate of at most {np.floor(1000 * smallest.rate) / 1000:g}, which min_channels and "
            f"channel_round_to still allow. Received: rate={budget.rate}."
        )
    raise ValueError(
        f"Expected {_NOUNS[budget.kind]} budgets of at least {_round(cost, budget, up=True)}, which min_channels and "
        f"channel_round_to still allow. Received: {_text(budget.amount, budget)}."
    )


def _text(amount: float, budget: Budget) -> str:
    return f"{amount:g} ms" if budget.kind == "ms" else format_quantity(int(amount))


def _round(amount: float, budget: Budget, *, up: bool = False) -> str:
    """Writes a bound with three digits, rounded so that the number printed is itself allowed."""
    if budget.kind == "ms":
        unit = 10.0 ** (math.floor(math.log10(amount)) - 2)
        return _text((math.ceil if up else math.floor)(amount / unit) * unit, budget)
    count = int(amount)
    step = 10 ** max(0, len(str(count)) - 3)
    return format_quantity((count + (step - 1) * up) // step * step)
