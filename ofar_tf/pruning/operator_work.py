"""How much each kind of operator has to do in a masked network: what a predictor of latency is linear in."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import prod

import keras
import numpy as np

from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.operator_kinds import DEPTHWISE, KERNELS, operator_kinds
from ofar_tf.pruning.sized_graph import kept_size, kernels_of, sized_calls
from ofar_tf.text.size import Resolution, Size

OPERATORS = "operators"
"""The name of the number of operators, each of which takes a while to start."""

# Processors compute this many output channels at once.
_LANES = 16


@dataclass(frozen=True, eq=False)
class _Tensor:
    """A tensor: at how many positions it has which channels."""

    positions: int
    channels: np.ndarray

    def channels_kept(self, keep: np.ndarray) -> int:
        return int(keep[self.channels].sum())

    def elements(self, keep: np.ndarray) -> int:
        return self.positions * self.channels_kept(keep)


@dataclass(frozen=True, eq=False)
class _Operator:
    """An operator at one resolution; `kernel` is a position in `weights`, which is applied `times` times."""

    kind: str
    reads: tuple[_Tensor, ...]
    writes: tuple[_Tensor, ...]
    kernel: int | None = None
    times: int = 0


class OperatorWork:
    """Counts the work of each kind of operator for masks of one supernet.

    Args:
        groups: The supernet's channel groups.
    """

    def __init__(self, groups: ChannelGroups):
        self._groups = groups
        self._kinds = operator_kinds(groups.calls)
        self._listed = cache(lambda size: list(self._operators(size)))

    @property
    def kinds(self) -> frozenset[str]:
        """Names the kinds of operators that the network runs."""
        separable = any(isinstance(call.operation, keras.layers.SeparableConv2D) for call in self._groups.calls)
        return frozenset(kind for kind in self._kinds if kind) | ({DEPTHWISE} if separable else set())

    def of(self, mask: ChannelMask, resolution: Resolution) -> dict[str, float]:
        """Counts the work of a mask for one image. No number rises when a channel is removed.

        Args:
            mask: The channels kept.
            resolution: Size of the image.

        Returns:
            `operators`, how many run; for each kind `<kind>.activations`, the elements read and written that are no
            weights; and for those with a kernel `.macs`, their multiply-adds; `.padded_macs`, the same with output
            channels rounded up to 16, as processors compute them; and `.weights`, the entries of their kernels.

        Raises:
            ValueError: If the network cannot take that resolution.
        """
        keep = np.append(mask.keep, True)
        work: defaultdict[str, float] = defaultdict(float)
        for operator in self._listed(Size.of(resolution)):
            work[OPERATORS] += 1
            work[f"{operator.kind}.activations"] += sum(
                tensor.elements(keep) for tensor in (*operator.reads, *operator.writes)
            )
            if operator.kernel is not None:
                entries = kept_size(self._groups.weights[operator.kernel], keep)
                channels = operator.writes[0].channels_kept(keep)
                macs = operator.times * entries
                work[f"{operator.kind}.weights"] += entries
                work[f"{operator.kind}.macs"] += macs
                work[f"{operator.kind}.padded_macs"] += macs * (-(-channels // _LANES) * _LANES) / channels
        return dict(work)

    def _operators(self, size: Size) -> Iterator[_Operator]:
        groups = self._groups
        all_sized = sized_calls(groups, size, everything=True)
        for call, kind, (sized, inputs, output) in zip(groups.calls, self._kinds, all_sized, strict=True):
            if kind is None:
                continue
            reads = tuple(map(self._tensor, call.tensors, sized.tensors))
            writes = tuple(map(self._tensor, keras.tree.flatten(call.outputs), keras.tree.flatten(sized.outputs)))
            if kind not in KERNELS:
                yield _Operator(kind, reads, writes)
                continue
            *first, last = kernels_of(call.operation, inputs, output)
            for kernel, times in first:
                # Of a separable convolution: what it writes has the channels that it reads, at the output's positions.
                between = _Tensor(times, reads[0].channels)
                yield _Operator(DEPTHWISE, reads, (between,), groups.weight_index[id(kernel)], times)
                reads = (between,)
            yield _Operator(kind, reads, writes, groups.weight_index[id(last[0])], last[1])

    def _tensor(self, tensor: keras.KerasTensor, sized: keras.KerasTensor) -> _Tensor:
        known = self._groups.tensors[id(tensor)]
        return _Tensor(prod(sized.shape) // (sized.shape[known.axis] or 1), known.ids)
