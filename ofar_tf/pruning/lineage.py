"""Which tensors a tensor was made from, and whether a sum joins a residual stream with what comes out of a block.

A residual stream is what runs *past* a block. At a sum of two tensors the graph shows it: from the tensor where the two
branches part, one comes through several kernels, the other through none (identity) or a single one (projection).
Branches that all start anew, as in RepVGG or a gate of two pools, and functions of one tensor have no such stream.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np


@dataclass(frozen=True, eq=False)
class Descent:
    """How a tensor was made from an earlier one.

    Attributes:
        ids: The channels of the earlier tensor that it was made from: what is cut out of a tensor comes from a part.
        kernels: How many kernels lie between the two, on the longest way.
        bent: Whether a non-linearity lies between them.
    """

    ids: np.ndarray
    kernels: int = 0
    bent: bool = False


Lineage = Mapping[int, Descent]


def descend(parents: Sequence[Lineage], *, is_product: bool, kernels: int, bends: bool) -> dict[int, Descent]:
    """Returns the ancestors of what an operation makes of its inputs.

    Args:
        parents: The lineages of the inputs.
        is_product: Whether the operation multiplies its inputs. A gate does not take what it scales through a block:
            of the ways from a common ancestor the shortest counts, and what only one factor comes from does not.
        kernels: How many kernels the operation applies, 0 or 1.
        bends: Whether it is a non-linearity.
    """
    numbers = set.intersection(*map(set, parents)) if is_product else set().union(*parents)
    choose = min if is_product else max
    lineage = {}
    for number in numbers:
        ways = [parent[number] for parent in parents if number in parent]
        lineage[number] = Descent(
            _union(ways),
            kernels=choose(way.kernels for way in ways) + kernels,
            bent=bends or any(way.bent for way in ways),
        )
    return lineage


def _union(ways: Sequence[Descent]) -> np.ndarray:
    """Returns the channels of all ways; most ways are of one array, and to join arrays takes long in large networks."""
    arrays = {id(way.ids): way.ids for way in ways}
    return reduce(np.union1d, arrays.values())


def without(lineage: Lineage, channels: np.ndarray) -> Lineage:
    """Returns the ancestors of what is left of a tensor when these of its channels are cut off."""
    if not len(channels):
        return lineage
    left = {
        number: way if way.kernels else replace(way, ids=np.setdiff1d(way.ids, channels))
        for number, way in lineage.items()
    }
    return {number: way for number, way in left.items() if len(way.ids)}


def passed_block(branches: Sequence[Lineage]) -> Descent | None:
    """Finds the tensor from which one branch of a sum runs past a block that another comes through.

    Args:
        branches: The lineages of the tensors that are added.

    Returns:
        How a branch was made from the tensor where the branches part last; `None` if no branch runs past a block. A
        sum of linear maps of one tensor is itself one linear map, so a block has a non-linearity. Branches that begin
        with different parts of its channels (Res2Net) do not run past each other.
    """
    common = set.intersection(*map(set, branches))
    if not common:
        return None
    fork = max(common)
    ways = [branch[fork] for branch in branches]
    if len(reduce(np.intersect1d, [way.ids for way in ways])) == 0:
        return None
    kernels = [way.kernels for way in ways]
    past = min(kernels) <= 1 and min(kernels) < max(kernels)
    return min(ways, key=lambda way: way.kernels) if past and any(way.bent for way in ways) else None
