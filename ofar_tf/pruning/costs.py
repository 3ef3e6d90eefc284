"""What a subnet costs, counted without building it.

MACs are the multiply-adds of convolution and dense kernels, and of the convolutions and matrix products in layers that
the library does not know, which stay whole; bias, BatchNorm and activations are not counted. What the paper calls FLOPs
are these MACs (DESIGN D12: WRN-28-10 has 5,243,328,768 MACs, printed as '5243M').
"""

import logging
from collections.abc import Sequence
from functools import cache, cached_property
from math import prod

import numpy as np

from ofar_tf.models.functional_graph import GraphCall
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.graph_macs import count_macs
from ofar_tf.pruning.latency_predictor import LatencyPredictor
from ofar_tf.pruning.layer_rules import rule_for
from ofar_tf.pruning.operator_work import OperatorWork
from ofar_tf.pruning.probed_rules import channelwise
from ofar_tf.pruning.rebuilt_rules import kernels_inside, rebuilt
from ofar_tf.pruning.sized_graph import kept_size, kernels_of, sized_calls
from ofar_tf.text.size import Resolution, Size


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
        return self._macs(mask, *self._counted(Size.of(resolution)))

    def total_macs(self, mask: ChannelMask, resolution: Resolution) -> int:
        """Returns the multiply-adds of one image in all layers; arguments and errors as for `macs`."""
        return self._macs(mask, *self._counted(Size.of(resolution), everything=True))

    def _macs(self, mask: ChannelMask, kernels: Sequence[tuple[int, int]], always: int) -> int:
        sizes = self._sizes(mask)
        return always + sum(positions * sizes[weight] for weight, positions in kernels)

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
        saved = np.zeros(self._groups.size + 1)
        for weight, positions in self._counted(Size.of(resolution))[0]:
            entry = self._groups.weights[weight]
            for axis, channels in entry.axes.items():
                np.add.at(saved, channels, positions * prod(entry.shape) / entry.shape[axis])
        return saved[:-1]

    def kernels(self, resolution: Resolution) -> tuple[list[tuple[int, int]], int]:
        """Returns (position in `weights`, how often it is applied) of each kernel, and the MACs no mask changes."""
        return self._counted(Size.of(resolution))

    def _sizes(self, mask: ChannelMask) -> list[int]:
        keep = np.append(mask.keep, True)
        return [kept_size(entry, keep) for entry in self._groups.weights]

    def _count(self, size: Size, *, everything: bool = False) -> tuple[list[tuple[int, int]], int]:
        """Lists (position in `weights`, how often the kernel is applied to one image), and counts what no mask changes.

        The latter are the multiply-adds in layers without a rule: whatever they touch is never pruned.
        """
        index, kernels, always = self._groups.weight_index, [], 0
        for call, inputs, output in sized_calls(self._groups, size, everything=everything):
            known = list(kernels_of(call.operation, inputs, output))
            kernels += [(index[id(kernel)], prod(shape[1:-1])) for kernel, shape in known]
            if not known and rule_for(call.operation) in (None, channelwise, rebuilt):
                inside, rest = self._tried(call)
                kernels, always = kernels + inside, always + rest
        return kernels, always

    def _tried(self, call: GraphCall) -> tuple[list[tuple[int, int]], int]:
        """Returns the kernels of a layer without a rule of its own that can be narrower, and the MACs of all others."""
        macs, weights = _macs_inside(call), getattr(call.operation, "weights", ())
        numbers, times = kernels_inside(weights, macs)
        kernels = [self._groups.weight_index[id(weights[number])] for number in numbers]
        narrower = [kernel for kernel in kernels if self._groups.weights[kernel].kept]
        rest = macs - times * sum(prod(self._groups.weights[kernel].shape) for kernel in narrower)
        return [(kernel, times) for kernel in narrower], rest


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
