"""Which networks no other beats in both cost and accuracy."""

from collections.abc import Sequence
from typing import Protocol


class Costed(Protocol):
    """Anything with a cost and an accuracy."""

    @property
    def macs(self) -> int:
        """Multiply-adds of one image."""

    @property
    def top1(self) -> float:
        """Accuracy in 0..1."""


def pareto_front(points: Sequence[Costed]) -> list[bool]:
    """Tells which points no other dominates.

    A point dominates another if it costs no more, is no less accurate, and is better in one of the two. Equal points
    stand or fall together.

    Args:
        points: Costs and accuracies, in any order.

    Returns:
        A bool for each point, in the order of the points.
    """
    on_front = [False] * len(points)
    best = float("-inf")
    order = sorted(range(len(points)), key=lambda index: (points[index].macs, -points[index].top1))
    for position, index in enumerate(order):
        previous = order[position - 1] if position else None
        if points[index].top1 > best:
            on_front[index], best = True, points[index].top1
        elif previous is not None and (points[previous].macs, points[previous].top1) == (
            points[index].macs,
            points[index].top1,
        ):
            on_front[index] = on_front[previous]
    return on_front
