"""What a pool is to be: how many structures, what each may cost, at which sizes, and how they are found."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from ofar_tf.pruning.budgets import Budget, check_budgets, parse_budgets
from ofar_tf.pruning.channel_mask import MaskRules
from ofar_tf.pruning.importance import CRITERIA
from ofar_tf.pruning.latency_predictor import LatencyPredictor
from ofar_tf.text.lists import listed
from ofar_tf.text.quantities import parse_quantity
from ofar_tf.text.size import LARGEST_SIDE, Resolution, Size

RANKED = ("weights", "ema")


@dataclass(frozen=True)
class PoolSpec:
    """The pool that a search looks for. Make it with `of`, which takes plain numbers.

    Attributes:
        budgets: What each structure may cost, at least two, the largest first.
        resolutions: What the networks may see, at least one size, the largest first. Costs are counted at the largest.
        importance: Criterion that ranks channels, see `channel_importance`.
        rank_by: What is ranked: the `weights` as they are, or their moving averages, `ema`, of an optimizer with
            `use_ema`.
        rules: Floor and rounding of kept channels.
        prune_residual_stream: Whether sums and linear bottlenecks may be pruned (DESIGN D10).
        excluded_groups: Names of channel groups that must not be pruned.
        outside: Patterns of the names of layers that are neither pruned nor counted, see `find_channel_groups`.
        nested: Whether a structure keeps only channels of the larger ones (DESIGN D16).
        predictor: What is known of a device (`read_predictor`): budgets in milliseconds need it, and where it is given
            every structure's latency is predicted.

    Raises:
        ValueError: If one makes no sense.
    """

    budgets: tuple[Budget, ...]
    resolutions: tuple[Size, ...]
    importance: str = "gamma"
    rank_by: str = "weights"
    rules: MaskRules = field(default_factory=MaskRules)
    prune_residual_stream: bool = False
    excluded_groups: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    nested: bool = False
    predictor: LatencyPredictor | None = None

    def __post_init__(self) -> None:
        if check_budgets(self.budgets) != self.budgets:
            raise ValueError(f"Expected budgets, the largest first. Received: {list(self.budgets)}.")
        if not self.resolutions or list(self.resolutions) != sorted(set(self.resolutions), reverse=True):
            listed = ", ".join(map(str, self.resolutions))
            raise ValueError(f"Expected different resolutions, the largest first. Received: {listed or 'none'}.")
        if (side := max(max(size.height, size.width) for size in self.resolutions)) > LARGEST_SIDE:
            raise ValueError(f"Expected resolutions of at most {LARGEST_SIDE} pixels. Received: {side}.")
        if self.importance not in CRITERIA:
            raise ValueError(f"Expected an importance of {', '.join(CRITERIA)}. Received: {self.importance!r}.")
        if self.rank_by not in RANKED:
            raise ValueError(f"Expected rank_by to be one of {', '.join(RANKED)}. Received: {self.rank_by!r}.")
        if self.predictor is None and any(budget.kind == "ms" for budget in self.budgets):
            raise ValueError("Expected the device that budgets in milliseconds are for. Received: none.")

    @classmethod
    def of(
        cls,
        *,
        pruning_rates: Sequence[float] = (),
        macs_budgets: Sequence[float | str] = (),
        budgets: Sequence[Budget] = (),
        resolutions: Sequence[Resolution],
        importance: str = "gamma",
        rank_by: str = "weights",
        rules: MaskRules | None = None,
        prune_residual_stream: bool = False,
        excluded_groups: Collection[str] = (),
        outside: Collection[str] = (),
        nested: bool = False,
        predictor: LatencyPredictor | None = None,
    ) -> Self:
        """Makes a specification of plain numbers, in any order.

        Args:
            pruning_rates: Shares of prunable channels to remove, in [0, 1), at least two; or
            macs_budgets: multiply-adds at the largest resolution, `3M` as well, at least two; or
            budgets: budgets of any kind, at least two. Exactly one of the three.
            resolutions: Sides of squares in pixels, or pairs of height and width.
            importance: See the attributes, as for the rest.
            rank_by: See the attributes.
            rules: The defaults of `MaskRules` by default.
            prune_residual_stream: See the attributes.
            excluded_groups: See the attributes.
            outside: See the attributes.
            nested: See the attributes.
            predictor: See the attributes.

        Raises:
            ValueError: If one makes no sense.
        """
        rates = [_rate(each) for each in listed("pruning_rates", pruning_rates)]
        counts = [parse_quantity(each) for each in listed("macs_budgets", macs_budgets)]
        sizes = listed("resolutions", resolutions)
        return cls(
            budgets=check_budgets(budgets) if budgets else parse_budgets(pruning_rates=rates, macs_budgets=counts),
            resolutions=tuple(sorted(map(Size.of, sizes), reverse=True)),
            importance=importance,
            rank_by=rank_by,
            rules=rules or MaskRules(),
            prune_residual_stream=prune_residual_stream,
            excluded_groups=tuple(sorted(listed("excluded_groups", excluded_groups))),
            outside=tuple(sorted(listed("outside", outside))),
            nested=nested,
            predictor=predictor,
        )

    @property
    def largest(self) -> Size:
        """The largest resolution, at which images leave the pipeline."""
        return self.resolutions[0]


def _rate(given: Any) -> float:
    try:
        return float(given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Expected a pruning rate in [0, 1). Received: rate={given!r:.80}.") from error
