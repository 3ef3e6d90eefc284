"""From the ranking of a supernet's channels to one mask per budget, epoch after epoch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ofar_tf.pruning.budgets import Budget, solve_mask
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.importance import channel_importance
from ofar_tf.search.pool_spec import PoolSpec


@dataclass(frozen=True)
class MaskSolver:
    """Cuts one mask per budget from the ranking of the channels as they are now.

    Attributes:
        groups: The supernet's channel groups.
        costs: Counter of their MACs.
        spec: The budgets, the criterion and the rules.
        seed: Seed of the criterion `random`.
    """

    groups: ChannelGroups
    costs: Costs
    spec: PoolSpec
    seed: int

    def solve(
        self,
        weights: Sequence[np.ndarray],
        *,
        frozen: Sequence[ChannelMask | None] = (),
        sensitivity: np.ndarray | None = None,
    ) -> list[ChannelMask]:
        """Ranks the channels and cuts the masks.

        Args:
            weights: The values of the supernet's `weights`.
            frozen: One entry per budget: the masks of structures that no longer change, `None` for the others. Only
                `nested` reads them.
            sensitivity: See `channel_importance`.

        Returns:
            One mask per budget.

        Raises:
            ValueError: If a budget cannot be met, or a gamma is not finite.
        """
        spec = self.spec
        scores = channel_importance(
            self.groups,
            weights,
            criterion=spec.importance,
            resolution=spec.largest,
            seed=self.seed,
            sensitivity=sensitivity,
        )
        return [
            self._solve(_within(scores, frozen, index) if spec.nested else scores, budget)
            for index, budget in enumerate(spec.budgets)
        ]

    def _solve(self, scores: np.ndarray, budget: Budget) -> ChannelMask:
        spec = self.spec
        return solve_mask(self.groups, scores, budget, resolution=spec.largest, rules=spec.rules, costs=self.costs)


def _within(scores: np.ndarray, frozen: Sequence[ChannelMask | None], index: int) -> np.ndarray:
    """Ranks below all others what a larger frozen structure dropped, above all others what a smaller one kept."""
    spread = scores.max() - scores.min() + 1.0
    scores = scores.copy()
    for mask in frozen[:index]:
        if mask is not None:
            scores[~mask.keep] -= spread
    for mask in frozen[index + 1 :]:
        if mask is not None:
            scores[mask.keep] += spread
    return scores
