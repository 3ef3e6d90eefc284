"""How channels travel through products of matrices: contexts that are pooled by weights, attention, similarities.

Each axis of each tensor has a name, as in `einsum`. Tensors whose channels lie along an axis of the same name have the
same channels. What is summed over channels is what it was if those dropped add zeros, and where channels of one tensor
meet positions of another they stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import keras
import numpy as np

from ofar_tf.pruning.call import Call
from ofar_tf.pruning.propagation import ANYTHING, Channels, Flow, Propagation


@dataclass(frozen=True)
class Axes:
    """The names of the axes of tensors that are multiplied.

    Attributes:
        inputs: Those of each tensor.
        output: Those of the product; what has none of these names is summed over.
    """

    inputs: tuple[tuple[str, ...], ...]
    output: tuple[str, ...]

    @property
    def is_sum(self) -> bool:
        """Whether a product of several tensors is summed over any axis."""
        return len(self.inputs) > 1 and not set().union(*self.inputs) <= set(self.output)


def axes_of(operation: Any, ranks: Sequence[int]) -> Axes:
    """Names the axes of what an operation multiplies.

    Args:
        operation: `keras.ops.matmul` or a Dot layer.
        ranks: How many axes each of its tensors has.

    Raises:
        NotImplementedError: If there is a vector among them.
    """
    if isinstance(operation, keras.layers.Dot):
        return _dot(operation.axes, ranks)
    if min(ranks) < 2:
        raise NotImplementedError("multiplies vectors")
    names = [str(number) for number in range(max(ranks) - 2, 0, -1)]
    first, second = (names[len(names) - rank + 2 :] for rank in ranks)
    return Axes(((*first, "row", "inner"), (*second, "inner", "column")), (*names, "row", "column"))


def contraction(found: Propagation, call: Call) -> Sequence[Flow]:
    """The rule of such an operation."""
    axes = axes_of(call.layer, [len(tensor.shape) for tensor in call.inputs])
    met = _met(found, call, axes)
    prunable = [name for name, tensors in met.items() if not _stays(found, tensors[0])]
    for name in prunable:
        if name not in axes.output and all(tensor.dropped.any() for tensor in met[name]):
            raise NotImplementedError("couples channels, which are not zero once pruned")
        found.note(met[name][0].ids, f"{call.title} {'scales' if name in axes.output else 'sums over'} them")
    left = [name for name in prunable if name in axes.output] or [name for name in met if name in axes.output]
    if len(left) > 1 and left[0] in prunable:
        raise NotImplementedError("meets channels along different axes")
    if not left:
        whole = found.new(call.shape[-1] or 1)
        found.fix(whole, "it is made of all channels together")
        return [Flow(whole)]
    tensors, axis = met[left[0]], axes.output.index(left[0]) - len(axes.output)
    is_zero = any(not tensor.dropped.any() for tensor in tensors)
    return [Channels(tensors[0].ids, axis, dropped=np.zeros(1) if is_zero else ANYTHING)]


def product_macs(operation: Any, shapes: Sequence[Sequence[int]]) -> int:
    """Counts the multiply-adds of such an operation; as of any product without a sum there are none.

    Args:
        operation: The operation.
        shapes: Those of its tensors.
    """
    axes = axes_of(operation, list(map(len, shapes)))
    sizes: dict[str, int] = {}
    for names, shape in zip(axes.inputs, shapes, strict=True):
        for name, size in zip(names, shape, strict=True):
            sizes[name] = max(sizes.get(name, 1), size)
    return prod(sizes.values()) if axes.is_sum else 0


def _met(found: Propagation, call: Call, axes: Axes) -> dict[str, list[Channels]]:
    """Returns by the name of an axis the tensors whose channels lie along it, tied to each other."""
    met: dict[str, list[Channels]] = {}
    for names, tensor in zip(axes.inputs, call.inputs, strict=True):
        if len(tensor.ids) == 1:
            found.fix(tensor.ids, "it is broadcast over all channels of a product")
        else:
            met.setdefault(names[tensor.axis], []).append(tensor)
    for name, tensors in met.items():
        for tensor in tensors[1:]:
            found.tie(tensors[0].ids, tensor.ids)
        are_positions = any(
            name in names and names.index(name) - len(names) != tensor.axis and tensor.shape[names.index(name)] != 1
            for names, tensor in zip(axes.inputs, call.inputs, strict=True)
        )
        if are_positions and not _stays(found, tensors[0]):
            found.block(tensors[0].ids, f"{call.title} meets channels along different axes")
    return met


def _stays(found: Propagation, tensor: Channels) -> bool:
    """Returns whether it is known already that the channels of a tensor stay."""
    merged = found.merged()
    kept = [merged[ids] for ids, _ in (*found.fixed, *found.blocked)]
    return bool(kept) and bool(np.isin(merged[tensor.ids], np.concatenate(kept)).all())


def _dot(axes: Any, ranks: Sequence[int]) -> Axes:
    summed = (axes, axes) if isinstance(axes, int) else axes
    names = [["0", *(f"{number} {axis}" for axis in range(1, rank))] for number, rank in zip("12", ranks, strict=True)]
    for own, axis in zip(names, summed, strict=True):
        own[axis] = "inner"
    left = [name for own in names for name in own[1:] if name != "inner"]
    return Axes((tuple(names[0]), tuple(names[1])), ("0", *(left or ["one"])))
