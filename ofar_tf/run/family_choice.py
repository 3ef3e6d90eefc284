"""Which row of a table is the best one that fits."""

from collections.abc import Sequence
from dataclasses import dataclass

from ofar_tf.evaluation.pareto import pareto_front
from ofar_tf.evaluation.subnet_table import SubnetRow
from ofar_tf.text.quantities import format_quantity, parse_quantity

Count = int | float | str
"""A count as people write it: `3e6`, `3_000_000` or `"3M"`."""


@dataclass(frozen=True)
class RowLimits:
    """What a network may cost at most.

    Attributes:
        max_macs: Multiply-adds of one image; None for no limit.
        max_params: Number of weights; None for no limit.

    Raises:
        ValueError: If a limit is no positive count.
    """

    max_macs: Count | None = None
    max_params: Count | None = None

    def __post_init__(self) -> None:
        for limit in (self.max_macs, self.max_params):
            if limit is not None:
                parse_quantity(limit)

    def fits(self, row: SubnetRow) -> bool:
        """Tells whether a row keeps within the limits."""
        pairs = ((row.macs, self.max_macs), (row.params, self.max_params))
        return all(limit is None or cost <= parse_quantity(limit) for cost, limit in pairs)

    def __str__(self) -> str:
        named = (("MACs", self.max_macs), ("weights", self.max_params))
        given = [f"{format_quantity(parse_quantity(limit))} {name}" for name, limit in named if limit is not None]
        return "at most " + " and ".join(given) if given else "any cost"


def best_row(rows: Sequence[SubnetRow], limits: RowLimits) -> SubnetRow:
    """Chooses the most accurate row of those that fit, as far as the images can tell; of equals, the cheapest.

    Args:
        rows: A table, with at least one row.
        limits: What a row may cost.

    Returns:
        The row.

    Raises:
        ValueError: If none fits.
    """
    fitting = [row for row in rows if limits.fits(row)]
    if not fitting:
        least = min(rows, key=lambda row: row.macs)
        raise ValueError(
            f"Expected limits that one of the networks keeps. Received: {limits}, and the cheapest, "
            f"{least.structure} at {least.resolution} pixels, has {format_quantity(least.macs)} MACs and "
            f"{format_quantity(least.params)} weights."
        )
    front = pareto_front(fitting, noise=[row.choice.noise for row in fitting])
    chosen = [row for row, best in zip(fitting, front, strict=True) if best]
    return max(chosen, key=lambda row: (row.merit, -row.macs))
