"""From the ranking of a supernet's channels to one mask per budget, epoch after epoch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ofar_tf.pruning.budgets import Budget, solve_masks
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.importance import CRITERIA, channel_importance


@dataclass(frozen=True)
class MaskSolver:
    """Cuts one mask per budget from the ranking of the channels as they are now.

    Attributes:
        groups: The supernet's channel groups.
        costs: Counter of their MACs.
        budgets: What each mask may cost, the largest first.
        resolution: The resolution at which MACs are counted, in pixels.
        importance: Criterion that ranks channels, see `channel_importance`.
        rules: Floor and rounding of kept channels.
        nested: Whether a mask keeps only channels of the larger ones (DESIGN D16).
        seed: Seed of the criterion `random`.

    Raises:
        ValueError: If there is no such criterion.
    """

    groups: ChannelGroups
    costs: Costs
    budgets: tuple[Budget, ...]
    resolution: int
    importance: str
    rules: MaskRules
    nested: bool
    seed: int

    def __post_init__(self) -> None:
        if self.importance not in CRITERIA:
            raise ValueError(f"Expected an importance of {', '.join(CRITERIA)}. Received: {self.importance!r}.")

    def solve(self, weights: Sequence[np.ndarray], *, frozen: Sequence[ChannelMask | None] = ()) -> list[ChannelMask]:
        """Ranks the channels and cuts the masks.

        Args:
            weights: The values of the supernet's `weights`.
            frozen: One entry per budget: the masks of structures that no longer change, `None` for the others. Only
                `nested` reads them.

        Returns:
            One mask per budget.

        Raises:
            ValueError: If a budget cannot be met, or a gamma is not finite.
        """
        scores = channel_importance(
            self.groups, weights, criterion=self.importance, resolution=self.resolution, seed=self.seed
        )
        return [
            self._solve(_within(scores, frozen, index) if self.nested else scores, budget)
            for index, budget in enumerate(self.budgets)
        ]

    def _solve(self, scores: np.ndarray, budget: Budget) -> ChannelMask:
        masks = solve_masks(
            self.groups, scores, [budget], resolution=self.resolution, rules=self.rules, costs=self.costs
        )
        return masks[0]


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
