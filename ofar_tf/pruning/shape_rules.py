"""How channels travel through what moves numbers about: slices, shuffles, reductions, reshapes."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from ofar_tf.pruning.call import Call
from ofar_tf.pruning.coupled_channels import REDUCTIONS
from ofar_tf.pruning.propagation import COUPLED, Channels, Flow, Ids, Places, Propagation


def concatenate(found: Propagation, call: Call) -> Sequence[Flow]:
    """Puts tensors side by side: along channels, or along another axis, where their channels are tied."""
    if not call.is_channels(call.layer.axis):
        return [_tied(found, call)]
    if any(tensor.axis != call.inputs[0].axis for tensor in call.inputs):
        raise NotImplementedError("meets channels along different axes")
    return [Flow(np.concatenate([tensor.ids for tensor in call.inputs]), call.inputs[0].axis)]


def stack(found: Propagation, call: Call) -> Sequence[Flow]:
    """Puts tensors side by side along a new axis, which holds no channels."""
    flow = _tied(found, call)
    behind = call.layer.axis % len(call.shape) > flow.axis + len(call.shape) - 1
    return [Flow(flow.ids, flow.axis - 1 if behind else flow.axis)]


def _tied(found: Propagation, call: Call) -> Flow:
    first = call.inputs[0]
    for tensor in call.inputs[1:]:
        if tensor.axis != first.axis or len(tensor.ids) != len(first.ids):
            raise NotImplementedError("meets channels along different axes")
        found.tie(first.ids, tensor.ids)
    return Flow(first.ids, first.axis)


def flatten(found: Propagation, call: Call) -> Sequence[Flow]:
    """Flatten: the channels of one position after those of another."""
    return [_reshaped(found, call)]


def reshape(setting: str) -> Callable[[Propagation, Call], Sequence[Flow]]:
    """Returns the rule of a reshape.

    Args:
        setting: The entry of its configuration that holds the new shape, with or without the batch axis.
    """

    def rule(found: Propagation, call: Call) -> Sequence[Flow]:
        flow = _reshaped(found, call)
        shape = list(call.layer.get_config()[setting])
        if shape[flow.axis] != -1:
            shape[flow.axis] = flow.ids
            found.state(call.layer, setting, tuple(shape))
        return [flow]

    return rule


def _reshaped(found: Propagation, call: Call) -> Flow:
    """Follows channels through a change of shape; those that would leave holes are tied.

    A channel that is cut out must leave a smaller tensor of the new shape: of the axes over which channels are spread
    all but one keep their size, so what lies along them is tied.
    """
    source: Any = call.inputs[0].shape
    shape: Any = call.shape
    if len(call.ids) == 1 and 1 in shape[1:]:  # A single channel need not lie along the positions.
        return Flow(call.ids, max(axis for axis in range(1 - len(shape), 0) if shape[axis] == 1))
    start, until = _same_sizes(source, shape, axis=call.axis)
    along = [1] * (len(source) - start)
    along[call.axis - start] = -1
    grid = np.broadcast_to(call.ids.reshape(along), source[start:]).reshape(shape[until:])
    spread = [axis for axis in range(-grid.ndim, 0) if (grid != grid.take([0], axis)).any()] or [-1]
    merged = found.merged()
    best = max(spread, key=lambda axis: (_decisions(merged, grid, axis), axis)) if len(spread) > 1 else spread[0]
    rows = np.moveaxis(grid, best, -1).reshape(-1, grid.shape[best])
    if (rows != rows[0]).any():
        found.note(rows.ravel(), f"{call.title} spreads them over several axes")
    for row in np.unique(rows[1:], axis=0):
        found.tie(rows[0], row)
    return Flow(rows[0], best)


def _same_sizes(source: Sequence[int | None], shape: Sequence[int | None], *, axis: int) -> tuple[int, int]:
    """Finds where in two shapes last axes begin that have as many numbers, the fewest that hold a certain axis.

    What is in front may change as it likes: positions may become images, as windows of attention do, and come back.
    """
    for start in range(axis, 0, -1):
        for until in range(len(shape) - 1, 0, -1):
            sizes = [*source[start:], *shape[until:]]
            if None not in sizes and prod(source[start:]) == prod(shape[until:]):  # type: ignore[arg-type]
                return start, until
    unknown = None in source[1:] or None in shape[1:]
    raise NotImplementedError(f"mixes channels with {'positions of unknown extent' if unknown else 'images'}")


def _decisions(merged: Ids, grid: Ids, axis: int) -> int:
    """Counts the channels left if all along the other axes are tied."""
    rows = np.moveaxis(merged[grid], axis, -1).reshape(-1, grid.shape[axis])
    label = np.arange(grid.shape[axis])
    while True:
        smallest = np.full(len(merged), grid.shape[axis])
        np.minimum.at(smallest, rows, np.broadcast_to(label, rows.shape))
        before, label = label, smallest[rows].min(axis=0)
        if (label == before).all():
            return len(np.unique(label))


def moved(found: Propagation, call: Call) -> Sequence[Flow]:
    """What gives axes other places, adds or drops some of one entry: a probe of zeros shows where they go."""
    shape = [2 if axis == call.axis else 1 for axis in range(len(call.inputs[0].shape))]
    shape[0] = 3
    probe = _move(call.layer, np.zeros(shape))
    if probe.shape[0] != 3 or probe.ndim != len(call.shape) or 2 not in probe.shape:
        raise NotImplementedError("moves the batch or drops the channels")
    return [Flow(call.ids, probe.shape.index(2) - probe.ndim)]


def _move(layer: Any, probe: np.ndarray) -> np.ndarray:
    kind = type(layer).__name__
    if kind == "Permute":
        return probe.transpose(0, *layer.dims)
    if kind == "Transpose":
        return probe.transpose(layer.axes)
    if kind == "Swapaxes":
        return probe.swapaxes(layer.axis1, layer.axis2)
    if kind == "Moveaxis":
        return np.moveaxis(probe, layer.source, layer.destination)
    if kind == "ExpandDims":
        return np.expand_dims(probe, layer.axis if isinstance(layer.axis, int) else tuple(layer.axis))
    if layer.axis is None:
        return probe.squeeze()
    axes = tuple(int(axis) for axis in np.atleast_1d(layer.axis))
    if any(probe.shape[axis] != 1 for axis in axes):
        raise NotImplementedError("drops the axis of its one channel")
    return probe.squeeze(axes)


def reduction(found: Propagation, call: Call) -> Sequence[Flow]:
    """A mean, sum or extreme over positions, or over channels if these are zero where they are dropped."""
    rank = len(call.inputs[0].shape)
    axes = range(rank) if call.layer.axis is None else [axis % rank for axis in np.atleast_1d(call.layer.axis)]
    if call.axis in axes:
        return [_reduced(found, call)]
    gone = 0 if call.layer.keepdims else sum(axis > call.axis for axis in axes)
    flow = Flow(call.ids, call.inputs[0].axis + gone)
    # The sum of what are ones for zeros.
    return [Channels(flow.ids, flow.axis, dropped=np.ones(1)) if type(call.layer).__name__ == "Logsumexp" else flow]


def of_length_one(found: Propagation, call: Call) -> Sequence[Flow]:
    """Divides by the length of vectors, to which zeros add nothing."""
    if any(call.is_channels(int(axis)) for axis in np.atleast_1d(call.layer.axis)):
        _check_zero(call)
    return [call.inputs[0]]


def _reduced(found: Propagation, call: Call) -> Flow:
    if type(call.layer).__name__ not in REDUCTIONS or not call.layer.keepdims:
        raise NotImplementedError("reduces the channels")
    couple(found, call)
    one = found.new(1)
    found.fix(one, "it is made of all channels together")
    return Channels(one, call.inputs[0].axis, dropped=np.array([0.0, 1.0]))


def couple(found: Propagation, call: Call) -> None:
    """Notes that an operation computes with all channels at once; what is dropped must be zero then."""
    _check_zero(call)
    found.state(call.layer, COUPLED, Places([call.ids]))
    found.note(call.ids, f"{call.title} computes with all of them, the dropped ones as zeros")


def _check_zero(call: Call) -> None:
    if call.inputs[0].dropped.any():
        raise NotImplementedError("couples channels, which are not zero once pruned")


def over_positions(found: Propagation, call: Call) -> Sequence[Flow]:
    """A softmax, or anything else that couples the numbers along one axis."""
    axes = np.atleast_1d(call.layer.axis)
    if any(call.is_channels(int(axis)) for axis in axes):
        raise NotImplementedError("may couple channels")
    # Shares of all positions, which are not zero for a channel that is.
    return [Channels(call.ids, call.inputs[0].axis, dropped=np.ones(1))]


def pooling(found: Propagation, call: Call) -> Sequence[Flow]:
    """Pooling, resizing and borders by functions on tensors, channels last."""
    if call.layer.data_format == "channels_first":
        raise NotImplementedError("has channels first")
    return [call.inputs[0]]


def pad(found: Propagation, call: Call) -> Sequence[Flow]:
    """Adds borders; along the channels they are new ones, which stay."""
    widths = call.layer.pad_width
    before, after = (widths * len(call.shape) if len(widths) == 1 else widths)[call.axis]
    if (before or after) and call.layer.mode != "constant":
        raise NotImplementedError("repeats channels as padding")
    border = [found.new(before), found.new(after)]
    for ids in border:
        found.fix(ids, "it is padding")
    filling = call.kwargs.get("constant_values") or 0.0
    dropped = np.unique([*call.inputs[0].dropped, filling])
    return [Channels(np.concatenate([border[0], call.ids, border[1]]), call.inputs[0].axis, dropped=dropped)]


def repeat(found: Propagation, call: Call) -> Sequence[Flow]:
    """Repeats every entry of an axis, channels included."""
    if call.layer.axis is None or np.ndim(call.layer.repeats):
        raise NotImplementedError("repeats entries of several axes")
    ids = np.repeat(call.ids, call.layer.repeats) if call.is_channels(call.layer.axis) else call.ids
    return [Flow(ids, call.inputs[0].axis)]


def tile(found: Propagation, call: Call) -> Sequence[Flow]:
    """Repeats whole axes, channels included."""
    repeats = np.atleast_1d(call.layer.repeats)
    if len(repeats) > len(call.inputs[0].shape):
        raise NotImplementedError("adds axes")
    times = repeats[call.inputs[0].axis] if len(repeats) >= -call.inputs[0].axis else 1
    return [Flow(np.tile(call.ids, times), call.inputs[0].axis)]


def flip(found: Propagation, call: Call) -> Sequence[Flow]:
    """Turns axes round, channels included."""
    axes = np.atleast_1d(call.layer.axis) if call.layer.axis is not None else range(len(call.shape))
    turned = any(call.is_channels(int(axis)) for axis in axes)
    return [Flow(call.ids[::-1] if turned else call.ids, call.inputs[0].axis)]


def roll(found: Propagation, call: Call) -> Sequence[Flow]:
    """Turns axes in a ring; of the channels as many come to the front as are left of those that did."""
    if call.layer.axis is None:
        raise NotImplementedError("mixes channels with positions")
    axes, shifts = np.broadcast_arrays(np.atleast_1d(call.layer.axis), np.atleast_1d(call.layer.shift))
    if not any(call.is_channels(int(axis)) for axis in axes):
        return [call.inputs[0]]
    if np.ndim(call.layer.shift) or len(axes) > 1:
        raise NotImplementedError("turns channels and other axes at once")
    stays = -int(shifts[0]) % len(call.ids)
    found.state(call.layer, "shift", call.ids[stays:])
    return [Flow(np.roll(call.ids, -stays), call.inputs[0].axis)]


def turned(found: Propagation, call: Call) -> Sequence[Flow]:
    """Turns a plane of positions by quarters."""
    if any(call.is_channels(int(axis)) for axis in call.layer.axes):
        raise NotImplementedError("turns channels into positions")
    return [call.inputs[0]]


def space_to_depth(found: Propagation, call: Call) -> Sequence[Flow]:
    """The pixels of a block side by side along the channels: each channel comes once for each pixel."""
    return [Flow(np.tile(call.ids, call.layer.block_size**2))]


def depth_to_space(found: Propagation, call: Call) -> Sequence[Flow]:
    """The channels of each pixel of a block lie side by side: those that become one channel are tied."""
    pixels = call.ids.reshape(call.layer.block_size**2, -1)
    for ids in pixels[1:]:
        found.tie(pixels[0], ids)
    found.note(call.ids, f"{call.title} ties the channels of the pixels that it makes")
    return [Flow(pixels[0])]


def broadcast(found: Propagation, call: Call) -> Sequence[Flow]:
    """Spreads a tensor over a larger shape, which states the channels; those of a constant are new ones."""
    shape: list[Any] = list(call.layer.shape)
    axis, ids = call.inputs[0].axis, call.ids
    if call.inputs[0].is_constant and len(ids) == 1:
        axis = max((each for each in range(1 - len(shape), 0) if shape[each] > 1), default=-1)
        ids = found.new(shape[axis])
    elif shape[axis] != len(ids):
        raise NotImplementedError("spreads a single channel over many")
    shape[axis] = ids
    found.state(call.layer, "shape", tuple(shape))
    return [Flow(ids, axis)]


def gated_half(found: Propagation, call: Call) -> Sequence[Flow]:
    """GLU: the first half of the channels, gated by the second."""
    if not call.is_channels(call.layer.axis):
        return [call.inputs[0]]
    first, second = np.split(call.ids, 2)
    found.tie(first, second)
    found.note(first, f"{call.title} is a gate")
    return [Flow(first, call.inputs[0].axis)]
