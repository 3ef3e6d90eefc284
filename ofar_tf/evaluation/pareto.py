"""Which networks are worth their cost: no cheaper one is as accurate, or none as far as the images can tell."""

from collections.abc import Sequence
from typing import Protocol


class Costed(Protocol):
    """Anything with a cost and a merit."""

    @property
    def macs(self) -> int:
        """Multiply-adds of one image."""

    @property
    def merit(self) -> float:
        """What it reached; more is better."""


def pareto_front(points: Sequence[Costed], *, noise: Sequence[float] | None = None) -> list[bool]:
    """Tells which points are on the front.

    Without noise, a point is on it if no other dominates it: costs no more, is no less accurate, and is better in one
    of the two. With noise, going from the cheapest to the dearest, a point is on it only if it is more accurate than
    the last one on it by more than that one's noise: more cost must buy what the images can show. So every point off
    the front has one on it that costs no more and is at most its noise less accurate. Equal points stand or fall
    together.

    Args:
        points: Costs and accuracies, in any order.
        noise: How much more accurate than each point another must be before the difference counts, at least 0
            (`ofar_tf.tasks.uncertainty.noise_of`); None for no noise.

    Returns:
        A bool for each point, in the order of the points.
    """
    on_front = [False] * len(points)
    margins = noise if noise is not None else [0.0] * len(points)
    last: int | None = None
    for index in sorted(range(len(points)), key=lambda index: (points[index].macs, -points[index].merit)):
        point = points[index]
        if last is None or point.merit > points[last].merit + margins[last]:
            on_front[index], last = True, index
        elif (points[last].macs, points[last].merit) == (point.macs, point.merit):
            on_front[index] = True
    return on_front
