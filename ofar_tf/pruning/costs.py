"""What a subnet costs, counted without building it.

MACs are the multiply-adds of convolution and dense kernels, and of the convolutions and matrix products in layers that
the library does not know, which stay whole; bias, BatchNorm and activations are not counted. What the paper calls FLOPs
are these MACs (DESIGN D12: WRN-28-10 has 5,243,328,768 MACs, printed as '5243M').
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import prod

import numpy as np

from ofar_tf.models.functional_graph import GraphCall
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.contraction_rules import contraction, product_macs
from ofar_tf.pruning.graph_macs import count_macs
from ofar_tf.pruning.latency_predictor import LatencyPredictor
from ofar_tf.pruning.layer_rules import rule_for
from ofar_tf.pruning.operator_work import OperatorWork
from ofar_tf.pruning.probed_rules import channelwise
from ofar_tf.pruning.rebuilt_rules import kernels_inside, rebuilt
from ofar_tf.pruning.sized_graph import Shape, calls_within, kept_size, kernels_of, sized_calls
from ofar_tf.text.size import Resolution, Size


@dataclass(frozen=True)
class _Counted:
    """Where multiply-adds are at one resolution.

    Attributes:
        kernels: (position in `weights`, how often the kernel is applied).
        products: Of products of tensors, (the channels along each axis that has some, how often all meet).
        always: What no mask changes.
    """

    kernels: tuple[tuple[int, int], ...]
    products: tuple[tuple[tuple[np.ndarray, ...], int], ...]
    always: int


class Costs:
    """Counts MACs and parameters of masks of one supernet, and predicts their latency where a device is known.

    Args:
        groups: The supernet's channel groups.
        predictor: What is known of the device whose milliseconds count; None where none do.

    Attributes:
        predictor: The same.

    Raises:
        ValueError: If the network has operators that were not timed on the device.
    """

    def __init__(self, groups: ChannelGroups, predictor: LatencyPredictor | None = None):
        self._groups = groups
        self._counted = cache(self._count)
        self.predictor = predictor
        if predictor is not None:
            predictor.require_knows(self._work.kinds)

    @cached_property
    def _work(self) -> OperatorWork:
        """What its operators do; found only where milliseconds count, since it takes a walk over the graph."""
        return OperatorWork(self._groups)

    def macs(self, mask: ChannelMask, resolution: Resolution) -> int:
        """Returns the multiply-adds of one image, without those of layers outside (`ChannelGroups.outside`).

        Args:
            mask: The channels kept.
            resolution: Size of the image.

        Raises:
            ValueError: If the network cannot take that resolution.
        """
        return self._macs(mask, self._counted(Size.of(resolution)))

    def total_macs(self, mask: ChannelMask, resolution: Resolution) -> int:
        """Returns the multiply-adds of one image in all layers; arguments and errors as for `macs`."""
        return self._macs(mask, self._counted(Size.of(resolution), everything=True))

    def _macs(self, mask: ChannelMask, counted: _Counted) -> int:
        sizes, keep = self._sizes(mask), np.append(mask.keep, True)
        kernels = sum(positions * sizes[weight] for weight, positions in counted.kernels)
        return counted.always + kernels + _product_macs(counted, keep)

    def params(self, mask: ChannelMask) -> int:
        """Returns the number of weights, moving statistics included, as `keras.Model.count_params` counts them."""
        return sum(self._sizes(mask))

    def milliseconds(self, mask: ChannelMask, resolution: Resolution) -> float:
        """Predicts the latency of one image on the device. It never rises when a channel is removed.

        Args:
            mask: The channels kept.
            resolution: Size of the image.

        Raises:
            ValueError: If no device is known, or the network cannot take that resolution.
        """
        if self.predictor is None:
            raise ValueError("Expected a device, whose milliseconds count. Received: none.")
        return self.predictor.milliseconds(self._work.of(mask, resolution))

    def macs_per_channel(self, resolution: Resolution) -> np.ndarray:
        """Returns float `[channels]`: the multiply-adds that vanish when one channel alone is removed.

        Args:
            resolution: Size of the image.

        Returns:
            The MACs of each channel. In a kernel from a group to itself, which only a pruned residual stream has, the
            one entry where the channel meets itself is counted twice.
        """
        saved, counted = np.zeros(self._groups.size + 1), self._counted(Size.of(resolution))
        for axes, positions in counted.products:
            for channels in axes:
                np.add.at(saved, channels, positions * prod(map(len, axes)) / len(channels))
        for weight, positions in counted.kernels:
            entry = self._groups.weights[weight]
            for axis, channels in entry.axes.items():
                np.add.at(saved, channels, positions * prod(entry.shape) / entry.shape[axis])
        return saved[:-1]

    def kernels(self, resolution: Resolution) -> tuple[list[tuple[int, int]], int]:
        """Returns (position in `weights`, how often it is applied) of each kernel, and the MACs no mask changes."""
        counted = self._counted(Size.of(resolution))
        only_what_stays = np.append(np.zeros(self._groups.size, bool), True)
        return list(counted.kernels), counted.always + _product_macs(counted, only_what_stays)

    def _sizes(self, mask: ChannelMask) -> list[int]:
        keep = np.append(mask.keep, True)
        return [kept_size(entry, keep) for entry in self._groups.weights]

    def _count(self, size: Size, *, everything: bool = False) -> _Counted:
        """Finds the multiply-adds of one image.

        What no mask changes are those in layers without a rule: whatever they touch is never pruned.
        """
        groups, index = self._groups, self._groups.weight_index
        kernels: list[tuple[int, int]] = []
        products, always = [], 0
        calls = calls_within(groups, everything=everything)
        all_sized = sized_calls(groups, size, everything=everything)
        for unsized, (call, inputs, output) in zip(calls, all_sized, strict=True):
            if rule_for(call.operation) is contraction:
                products.append(self._product(unsized, inputs))
            known = list(kernels_of(call.operation, inputs, output))
            kernels += [(index[id(kernel)], times) for kernel, times in known]
            if not known and rule_for(call.operation) in (None, channelwise, rebuilt):
                inside, rest = self._tried(call)
                kernels, always = kernels + inside, always + rest
        return _Counted(tuple(kernels), tuple(products), always)

    def _product(self, call: GraphCall, shapes: Sequence[Shape]) -> tuple[tuple[np.ndarray, ...], int]:
        """Returns which channels lie along the axes of a product, each axis once, and how often all of them meet."""
        flows = [self._groups.tensors[id(tensor)] for tensor in call.tensors]
        axes = tuple({flow.ids.tobytes(): flow.ids for flow in flows if (flow.ids < self._groups.size).any()}.values())
        return axes, product_macs(call.operation, shapes) // prod(map(len, axes))

    def _tried(self, call: GraphCall) -> tuple[list[tuple[int, int]], int]:
        """Returns the kernels of a layer without a rule of its own that can be narrower, and the MACs of all others."""
        macs, weights = _macs_inside(call), getattr(call.operation, "weights", ())
        numbers, times = kernels_inside(weights, macs)
        kernels = [self._groups.weight_index[id(weights[number])] for number in numbers]
        narrower = [kernel for kernel in kernels if self._groups.weights[kernel].kept]
        rest = macs - times * sum(prod(self._groups.weights[kernel].shape) for kernel in narrower)
        return [(kernel, times) for kernel in narrower], rest


def _product_macs(counted: _Counted, keep: np.ndarray) -> int:
    return sum(positions * prod(int(keep[channels].sum()) for channels in axes) for axes, positions in counted.products)


@cache
def _say_once(text: str) -> None:
    logging.getLogger(__name__).warning(text)


def _macs_inside(call: GraphCall) -> int:
    """Counts the multiply-adds of a layer without a rule, and says what cannot be counted."""
    title = f"{type(call.operation).__name__} {call.operation.name!r}"
    try:
        macs, uncounted = count_macs(call.operation, call.args, call.kwargs)
    except Exception as error:  # A user's layer may raise anything when it is run alone.
        _say_once(f"{title}: its multiply-adds are not counted, because it cannot be traced ({type(error).__name__}).")
        return 0
    if uncounted:
        kinds = ", ".join(f"{count} {kind}" for kind, count in uncounted.items())
        _say_once(f"{title}: the multiply-adds of {kinds} are not counted, because they depend on what it computes.")
    return macs
