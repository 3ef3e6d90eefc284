"""A supernet's graph at one size of image: the shapes of its tensors, and where its kernels are applied."""

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import keras
import numpy as np

from ofar_tf.models.functional_graph import GraphCall
from ofar_tf.pruning.channel_groups import ChannelGroups, WeightChannels
from ofar_tf.pruning.functional_model import image_shape
from ofar_tf.pruning.graph_macs import output_shapes
from ofar_tf.text.size import Size

layers = keras.layers
Shape = tuple[int, ...]


def kept_size(entry: WeightChannels, keep: np.ndarray) -> int:
    """Counts the entries of a weight that a mask keeps.

    Args:
        entry: The weight.
        keep: bool `[channels + 1]`: a mask, and true for what always stays.
    """
    kept = (int(keep[entry.axes[axis]].sum()) if axis in entry.axes else size for axis, size in enumerate(entry.shape))
    return prod(kept)


def kernels_of(layer: Any, inputs: Sequence[Shape], output: Shape) -> Iterator[tuple[Any, int]]:
    """Yields each kernel of a layer with how often it is applied, for what has become of one image.

    A class derived from one of these may compute anything.

    Args:
        layer: A layer or operation.
        inputs: The shapes of its inputs.
        output: The shape of its output.
    """
    kind = type(layer)
    if kind is layers.SeparableConv2D:
        yield layer.depthwise_kernel, prod(output[:-1])
        yield layer.pointwise_kernel, prod(output[:-1])
    elif kind is layers.Conv2DTranspose:
        yield layer.kernel, prod(inputs[0][:-1])
    elif kind in (layers.Conv1D, layers.Conv2D, layers.DepthwiseConv2D, layers.Dense):
        yield layer.kernel, prod(output[:-1])


def calls_within(groups: ChannelGroups, *, everything: bool) -> list[GraphCall]:
    """Returns the calls of a supernet, all or those of layers inside only; see `sized_calls`."""
    return [call for call in groups.calls if everything or not groups.is_outside(call.operation.name)]


def sized_calls(
    groups: ChannelGroups, size: Size, *, everything: bool
) -> Iterator[tuple[GraphCall, list[Shape], Shape]]:
    """Repeats the graph's shape inference for one image of a size.

    Layers outside come behind all others, so without them nothing is missing, and they need not take that size.

    Args:
        groups: The channel groups of a supernet.
        size: Of the image.
        everything: Whether layers outside (`ChannelGroups.outside`) are yielded too.

    Yields:
        Each call of `groups.calls` on tensors of that size, with the shapes of its inputs and of its first output.

    Raises:
        ValueError: If the network cannot take that resolution.
    """
    known: dict[int, keras.KerasTensor] = {}
    for tensor in groups.inputs:
        image = len(tensor.shape) == 4
        shape = image_shape(tensor, size, batch=1) if image else (1, *tensor.shape[1:])
        known[id(tensor)] = keras.KerasTensor(shape, dtype=tensor.dtype)

    def now(tree: Any) -> Any:
        return keras.tree.map_structure(lambda leaf: known.get(id(leaf), leaf), tree)

    for call in calls_within(groups, everything=everything):
        args, kwargs = now(call.args), now(dict(call.kwargs))
        try:
            outputs = _outputs(call.operation, args, kwargs)
        except ValueError as error:
            raise ValueError(
                "Expected a resolution that the network can take. "
                f"Received: resolution={size}, which fails at layer {call.operation.name!r}."
            ) from error
        known.update(zip(map(id, keras.tree.flatten(call.outputs)), outputs, strict=True))
        sized = GraphCall(call.operation, args, kwargs, outputs)
        yield sized, [tensor.shape for tensor in sized.tensors], outputs[0].shape


def _outputs(operation: Any, args: Any, kwargs: Any) -> list[keras.KerasTensor]:
    outputs = keras.tree.flatten(operation.compute_output_spec(*args, **kwargs))
    if not any(None in output.shape for output in outputs):
        return outputs
    # `EinsumDense(..., output_shape=(None, None, 8))` says no more than that, whatever it is given.
    shapes = output_shapes(operation, args, kwargs)
    return [keras.KerasTensor(shape, output.dtype) for shape, output in zip(shapes, outputs, strict=True)]
