"""What a pool will cost, before anything is trained (Algorithm 1, line 1, on real MACs)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from ofar_tf.pruning.budgets import Budget, cost_of, solve_mask
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.latency_predictor import LatencyPredictor
from ofar_tf.text.quantities import format_quantity
from ofar_tf.text.size import Resolution
from ofar_tf.text.tables import table_console


@dataclass(frozen=True)
class PlannedStructure:
    """One structure as it would be if channels stayed as important as they are before training.

    Attributes:
        name: Its name in files.
        nominal_rate: The pruning rate that was asked for; `None` for a budget of another kind.
        channel_rate: The share of prunable channels removed after rounding and the floor.
        macs_rate: The share of the supernet's MACs removed, at the largest resolution.
        params: Number of weights.
        macs: Multiply-adds of one image at each resolution, the largest resolution first.
        rates: The channel rate at which the budget would be met at each resolution; 0 where the whole network meets it,
            `None` where not even the smallest network does.
        milliseconds: The predicted latency at each resolution; empty where no device is known.
    """

    name: str
    nominal_rate: float | None
    channel_rate: float
    macs_rate: float
    params: int
    macs: tuple[int, ...]
    rates: tuple[float | None, ...]
    milliseconds: tuple[float, ...] = ()


def plan_pool(
    groups: ChannelGroups,
    budgets: Sequence[Budget],
    *,
    resolutions: Sequence[Resolution],
    rules: MaskRules,
    scores: np.ndarray | None = None,
    costs: Costs | None = None,
) -> list[PlannedStructure]:
    """Counts what each structure of a pool will cost.

    A frozen structure keeps other channels than those assumed here. If its budget is in MACs it meets the budget all
    the same; if it is a rate, its MACs depend on which layers the search finds important.

    Args:
        groups: The supernet's channel groups.
        budgets: The budgets, the largest network first.
        resolutions: Pixels, the largest first.
        rules: Floor and rounding.
        scores: float `[channels]`, how important each channel is by the weights that training starts from; all equally
            by default, as fresh weights have it.
        costs: Counter for `groups`; one that knows a device predicts latencies too.

    Returns:
        One entry per budget.

    Raises:
        ValueError: If a budget cannot be met at the largest resolution.
    """
    costs, scores = costs or Costs(groups), np.zeros(groups.size) if scores is None else scores
    full = ChannelMask.full(groups)
    whole = costs.macs(full, resolutions[0])

    def mask(budget: Budget, resolution: Resolution) -> ChannelMask:
        return solve_mask(groups, scores, budget, resolution=resolution, rules=rules, costs=costs)

    def rate_at(budget: Budget, resolution: Resolution) -> float | None:
        depends = budget.kind in ("macs", "ms")
        if depends and budget.most >= cost_of(full, budget, costs=costs, resolution=resolution):
            return 0.0
        try:
            return mask(budget, resolution).rate
        except ValueError:
            return None

    planned = []
    for budget in budgets:
        largest = mask(budget, resolutions[0])
        macs = tuple(costs.macs(largest, resolution) for resolution in resolutions)
        planned.append(
            PlannedStructure(
                name=budget.name,
                nominal_rate=budget.rate,
                channel_rate=largest.rate,
                macs_rate=1.0 - macs[0] / whole,
                params=costs.params(largest),
                macs=macs,
                rates=tuple(rate_at(budget, resolution) for resolution in resolutions),
                milliseconds=tuple(costs.milliseconds(largest, resolution) for resolution in resolutions)
                if costs.predictor
                else (),
            )
        )
    return planned


def print_plan(
    planned: Sequence[PlannedStructure],
    *,
    resolutions: Sequence[Resolution],
    ranked: bool = False,
    predictor: LatencyPredictor | None = None,
    console: Console | None = None,
) -> None:
    """Prints a plan: its rates side by side, and its MACs at each resolution.

    Args:
        planned: What `plan_pool` returned.
        resolutions: The resolutions it was made for.
        ranked: Whether some channels counted as more important than others.
        predictor: What latencies were predicted by, if they were.
        console: Where to; standard output by default.
    """
    caption = "Before training, all channels counted as equally important."
    if ranked:
        caption = "Before training, channels ranked by the weights it starts from."
    if any(structure.nominal_rate is None for structure in planned):
        caption += " In brackets: the channel rate that would meet the budget at that resolution."
    if predictor:
        caption += f" Milliseconds are predicted for {predictor.place}, {predictor.error}."
    table = Table(caption=caption)
    table.add_column("structure", no_wrap=True)
    for name in ("nominal rate", "channel rate", "MACs rate", "params"):
        table.add_column(name, justify="right")
    for resolution in resolutions:
        table.add_column(f"MACs at {resolution} px", justify="right")
    for resolution in resolutions if predictor else ():
        table.add_column(f"ms at {resolution} px", justify="right")
    for structure in planned:
        nominal = "-" if structure.nominal_rate is None else f"{structure.nominal_rate:.1%}"
        cells = (nominal, f"{structure.channel_rate:.1%}", f"{structure.macs_rate:.1%}")
        at_resolutions = (_cell(structure, index) for index in range(len(resolutions)))
        times = (f"{value:.3g}" for value in structure.milliseconds)
        table.add_row(structure.name, *cells, format_quantity(structure.params), *at_resolutions, *times)
    (console or table_console(table)).print(table)


def _cell(structure: PlannedStructure, index: int) -> str:
    macs = format_quantity(structure.macs[index])
    if structure.nominal_rate is not None:
        return macs
    rate = structure.rates[index]
    return f"{macs} ({'none' if rate is None else f'{rate:.0%}'})"
