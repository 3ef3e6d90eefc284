"""What a subnet costs, counted without building it.

MACs are the multiply-adds of convolution and dense kernels; bias, BatchNorm and activations are not counted. What the
paper calls FLOPs are these MACs (DESIGN D12: WRN-28-10 has 5,243,328,768 MACs, printed as '5243M').
"""

from collections.abc import Iterator, Sequence
from functools import cache
from math import prod
from typing import Any

import keras
import numpy as np

from ofar_tf.data.size import Resolution, Size
from ofar_tf.pruning.channel_groups import ChannelGroups, WeightChannels
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.graph_trace import LayerCall

layers = keras.layers
Shape = tuple[int, ...]


class Costs:
    """Counts MACs and parameters of masks of one supernet.

    Args:
        groups: The supernet's channel groups.
    """

    def __init__(self, groups: ChannelGroups):
        self._groups = groups
        self._kernel_positions = cache(self._infer_kernel_positions)

    def macs(self, mask: ChannelMask, resolution: Resolution) -> int:
        """Returns the multiply-adds of one image.

        Args:
            mask: The channels kept.
            resolution: Size of the image.

        Raises:
            ValueError: If the network cannot take that resolution.
        """
        sizes = self._sizes(mask)
        return sum(positions * sizes[weight] for weight, positions in self._kernel_positions(Size.of(resolution)))

    def params(self, mask: ChannelMask) -> int:
        """Returns the number of weights, moving statistics included, as `keras.Model.count_params` counts them."""
        return sum(self._sizes(mask))

    def macs_per_channel(self, resolution: Resolution) -> np.ndarray:
        """Returns float `[channels]`: the multiply-adds that vanish when one channel alone is removed.

        Args:
            resolution: Size of the image.

        Returns:
            The MACs of each channel. In a kernel from a group to itself, which only a pruned residual stream has, the
            one entry where the channel meets itself is counted twice.
        """
        saved = np.zeros(self._groups.size + 1)
        for weight, positions in self._kernel_positions(Size.of(resolution)):
            entry = self._groups.weights[weight]
            for axis, channels in entry.axes.items():
                np.add.at(saved, channels, positions * prod(entry.shape) / entry.shape[axis])
        return saved[:-1]

    def _sizes(self, mask: ChannelMask) -> list[int]:
        keep = np.append(mask.keep, True)
        return [_size(entry, keep) for entry in self._groups.weights]

    def _infer_kernel_positions(self, size: Size) -> tuple[tuple[int, int], ...]:
        """Lists (position in `weights`, how often the kernel is applied to one image) at a size."""
        index = self._groups.weight_index
        return tuple(
            (index[id(kernel)], prod(shape[1:-1]))
            for call, inputs, output in _replay(self._groups, size)
            for kernel, shape in _kernels(call.operation, inputs, output)
        )


def _size(entry: WeightChannels, keep: np.ndarray) -> int:
    kept = (int(keep[entry.axes[axis]].sum()) if axis in entry.axes else size for axis, size in enumerate(entry.shape))
    return prod(kept)


def _kernels(layer: Any, inputs: Sequence[Shape], output: Shape) -> Iterator[tuple[Any, Shape]]:
    """Yields each kernel of a layer with the shape of the tensor at whose positions it is applied."""
    if isinstance(layer, layers.SeparableConv2D):
        yield layer.depthwise_kernel, output
        yield layer.pointwise_kernel, output
    elif isinstance(layer, layers.Conv2DTranspose):
        yield layer.kernel, inputs[0]
    elif isinstance(layer, (layers.Conv1D, layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)):
        yield layer.kernel, output


def _replay(groups: ChannelGroups, size: Size) -> Iterator[tuple[LayerCall, list[Shape], Shape]]:
    """Repeats the graph's shape inference for one image and yields each call with its input and output shapes."""
    known: dict[int, keras.KerasTensor] = {}
    for tensor in groups.inputs:
        shape = (1, size.height, size.width, tensor.shape[-1]) if len(tensor.shape) == 4 else (1, *tensor.shape[1:])
        known[id(tensor)] = keras.KerasTensor(shape, dtype=tensor.dtype)

    def now(tree: Any) -> Any:
        return keras.tree.map_structure(lambda leaf: known.get(id(leaf), leaf), tree)

    for call in groups.calls:
        args, kwargs = now(call.args), now(dict(call.kwargs))
        try:
            outputs = keras.tree.flatten(call.operation.compute_output_spec(*args, **kwargs))
        except ValueError as error:
            raise ValueError(
                "Expected a resolution that the network can take. "
                f"Received: resolution={size}, which fails at layer {call.operation.name!r}."
            ) from error
        known.update(zip(map(id, keras.tree.flatten(call.outputs)), outputs, strict=True))
        inputs = [leaf.shape for leaf in keras.tree.flatten((args, kwargs)) if isinstance(leaf, keras.KerasTensor)]
        yield call, inputs, outputs[0].shape
