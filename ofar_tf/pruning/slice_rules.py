"""How channels travel through slices and splits, whose limits count channels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ofar_tf.pruning.call import Call
from ofar_tf.pruning.propagation import Chosen, Flow, Ids, Propagation

_ALL = slice(None)


def split(found: Propagation, call: Call) -> Sequence[Flow]:
    """Cuts a tensor into several along an axis."""
    axis = call.inputs[0].axis
    if not call.is_channels(call.layer.axis):
        return [Flow(call.ids, axis) for _ in call.shapes]
    sections = call.layer.indices_or_sections
    limits = np.arange(1, sections) * (len(call.ids) // sections) if isinstance(sections, int) else sections
    found.state(call.layer, "indices_or_sections", [call.ids[:limit] for limit in limits])
    return [_piece(found, call, ids) for ids in np.split(call.ids, limits)]


def unstack(found: Propagation, call: Call) -> Sequence[Flow]:
    """Takes an axis apart, entry by entry."""
    rank = len(call.inputs[0].shape)
    if call.is_channels(call.layer.axis):
        raise NotImplementedError("takes single channels out")
    gone = call.layer.axis % rank > call.axis
    return [Flow(call.ids, call.inputs[0].axis + gone) for _ in call.shapes]


def box(found: Propagation, call: Call) -> Sequence[Flow]:
    """`keras.ops.slice`: a start and a size for each axis."""
    starts, sizes = list(call.args[1]), list(call.layer.shape)
    first = starts[call.axis]
    ids = call.ids[first:] if sizes[call.axis] == -1 else call.ids[first : first + sizes[call.axis]]
    starts[call.axis] = call.ids[:first]
    found.state(call.layer, 1, tuple(starts))
    if sizes[call.axis] != -1:
        sizes[call.axis] = ids
        found.state(call.layer, "shape", tuple(sizes))
    return [_piece(found, call, ids)]


def item(found: Propagation, call: Call) -> Sequence[Flow]:
    """`x[..., :4]`: a key with an entry for each axis, with new axes and dropped ones."""
    key = call.args[1] if len(call.args) > 1 else call.kwargs["key"]
    entries = _full_key(key, rank=len(call.inputs[0].shape))
    place = [index for index, entry in enumerate(entries) if entry is not None][call.axis]
    entry = entries[place]
    if not isinstance(entry, slice):
        raise NotImplementedError("takes a single channel out")
    behind = sum(1 for other in entries[place + 1 :] if not isinstance(other, int))
    if entry == _ALL:
        return [Flow(call.ids, -1 - behind)]
    if len(call.args) < 2:
        raise NotImplementedError("names the key of a slice of channels")
    entries[place] = _narrowed(found, call, entry)
    found.state(call.layer, 1, tuple(entries))
    return [Flow(_piece(found, call, call.ids[entry]).ids, -1 - behind)]


def take(found: Propagation, call: Call) -> Sequence[Flow]:
    """`keras.ops.take` by constant numbers, of positions or of channels, as a shuffle of these does."""
    axis, rank = call.layer.axis, len(call.inputs[0].shape)
    if axis is None or len(call.inputs) > 1:
        raise NotImplementedError("takes entries that are known only when it runs, or of several axes")
    numbers = np.asarray(call.args[1])
    if not call.is_channels(axis):
        added = numbers.ndim - 1 if axis % rank > call.axis else 0
        return [Flow(call.ids, call.inputs[0].axis - added)]
    if numbers.ndim != 1:
        raise NotImplementedError("takes a single channel out, or channels into several axes")
    taken = call.ids[numbers]
    found.state(call.layer, 1, Chosen((call.ids[:number], call.ids[[number]]) for number in numbers % len(call.ids)))
    if set(taken) == set(call.ids):
        return [Flow(taken, call.inputs[0].axis)]
    return [_piece(found, call, taken)]


def _piece(found: Propagation, call: Call, ids: Ids) -> Flow:
    """Keeps account of what is cut out: an empty piece would crash whatever reads it."""
    found.pieces.append(ids)
    found.note(ids, f"{call.title} cuts channels into pieces")
    return Flow(ids, call.inputs[0].axis)


def _full_key(key: Any, *, rank: int) -> list[Any]:
    entries = list(key) if isinstance(key, (tuple, list)) else [key]
    if not any(entry is Ellipsis for entry in entries):
        entries.append(Ellipsis)
    at = next(index for index, entry in enumerate(entries) if entry is Ellipsis)
    taken = sum(entry is not None for entry in entries) - 1
    return [*entries[:at], *[_ALL] * (rank - taken), *entries[at + 1 :]]


def _narrowed(found: Propagation, call: Call, entry: slice) -> slice:
    """Returns the slice with channels in the place of its limits; what strides leave out lives with what they take."""
    ids, size = call.ids, len(call.ids)
    start, stop, step = entry.indices(size)
    if step == 1:
        return slice(ids[:start], ids[: max(start, stop)], None)
    if step == -1 and (start, stop) == (size - 1, -1):
        return entry
    if step < 1 or start >= step or stop < size or size % step:
        raise NotImplementedError("takes channels out by a stride that does not divide them")
    for offset in range(1, step):
        found.tie(ids[::step], ids[offset::step])
    found.note(ids, f"{call.title} ties channels by its stride")
    return slice(start, None, step)
