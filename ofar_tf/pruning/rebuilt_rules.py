"""Layers with weights that have no rule, built anew for fewer channels: what of their weights is narrower then.

A scale for each channel, a norm, a convolution or a gate that is a class of the user's cannot be looked into. Its
configuration makes it for fewer channels, as it is or with the one entry changed that states their number. On numbers
it shows whether the narrow layer, with the entries of the weights that belong to its channels, gives what the whole one
gives of them where the rest is masked: in training and in inference, for several choices of channels. Only then is it
followed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import keras
import numpy as np

from ofar_tf.models.functional_graph import takes_training
from ofar_tf.pruning.call import Call
from ofar_tf.pruning.graph_macs import count_macs
from ofar_tf.pruning.propagation import Channels, Flow, Propagation
from ofar_tf.pruning.trials import (
    Axes,
    cut,
    fill,
    has_one_tensor,
    masked,
    narrower_axes,
    numbers_for,
    random_weights,
    same,
    some_of,
    tried_once,
)
from ofar_tf.pruning.tried_merges import merged
from ofar_tf.pruning.whole_rules import whole


@dataclass(frozen=True)
class _Way:
    """What is supposed of a layer.

    Attributes:
        passes: Whether the channels that leave it are those that enter.
        reads: Whether it can read fewer channels, where those that leave it are others.
        stated: The entry of its configuration that is the number of channels that leave; empty where none is.
    """

    passes: bool
    reads: bool
    stated: str


@dataclass(frozen=True)
class _Found:
    """A way that held.

    Attributes:
        way: The way.
        entering: The axes of each weight, by its position, that the channels which enter lie along.
        leaving: The same of those that leave, where they are others.
        dropped: What dropped channels may be behind the layer.
        is_affine: Whether it is a linear function, apart from what it adds.
    """

    way: _Way
    entering: Axes
    leaving: Axes
    dropped: np.ndarray
    is_affine: bool


def can_be_rebuilt(layer: Any) -> bool:
    """Returns whether a layer without a rule holds weights that may be narrower in a layer for fewer channels."""
    return isinstance(layer, keras.layers.Layer) and bool(layer.weights) and not isinstance(layer, keras.Model)


def kernels_inside(weights: Sequence[Any], macs: int) -> tuple[list[int], int]:
    """Finds the kernels of a layer that is not known, if all of them are applied equally often.

    Args:
        weights: The layer's weights.
        macs: Its multiply-adds.

    Returns:
        The positions of its matrices among the weights, and how often they are applied; none where that does not give
        its multiply-adds.
    """
    matrices = [number for number, weight in enumerate(weights) if sum(size > 1 for size in weight.shape) > 1]
    times, left = divmod(macs, _entries(weights, matrices) or macs + 1)
    return ([], 0) if left or not times else (matrices, times)


def _entries(weights: Sequence[Any], numbers: Sequence[int]) -> int:
    return sum(prod(weights[number].shape) for number in numbers)


def rebuilt(found: Propagation, call: Call) -> Sequence[Flow]:
    """The rule of such a layer."""
    if len(call.inputs) > 1:
        return merged(found, call)
    known = _known(call)
    if known is None:
        return whole(found, call)
    weights = call.layer.weights
    if known.way.reads:
        found.reads.append((call.ids, call.inputs[0].activated))
    elif not known.way.passes:
        found.block(call.ids, f"{call.title} reads it in a form that is unknown to the library")
    for number, axes in known.entering.items():
        for axis in axes:
            found.own(weights[number], axis, call.ids)
    ids = call.ids if known.way.passes else found.new(call.shape[-1] or 1)
    for number, axes in known.leaving.items():
        for axis in axes:
            found.feed(weights[number], axis, ids)
    if known.way.stated:
        found.state(call.layer, known.way.stated, ids)
    elif not known.way.passes:
        found.block(ids, f"{call.title} gives it in a form that is unknown to the library")
    _rank(found, call.layer, weights, known)
    return [Channels(ids, -1, dropped=known.dropped)]


def _rank(found: Propagation, layer: Any, weights: Sequence[Any], known: _Found) -> None:
    """Lets a BatchNorm of the user's rank its channels, as Keras' does."""
    if not isinstance(layer, keras.layers.BatchNormalization):
        return
    if layer.scale and any(weights[number] is layer.gamma for number in known.entering):
        found.gammas.add(id(layer.gamma))
    else:
        found.unscaled.add(id(layer.moving_mean))


def is_affine(call: Call) -> bool:
    """Returns whether such a layer is a linear function, apart from what it adds."""
    known = _known(call)
    return known is not None and known.is_affine


def _known(call: Call) -> _Found | None:
    return tried_once(call, _first_that_holds) if has_one_tensor(call) else None


def _first_that_holds(call: Call) -> _Found | None:
    if len(call.ids) < 2:
        return None
    for way in _ways(call):
        try:
            known = _Trial(call, way).found()
        except Exception:  # A user's layer may raise anything for a number of channels that it was not made for.
            continue
        if known is not None:
            return known
    return None


def _ways(call: Call) -> Iterator[_Way]:
    """Yields what may be true of a layer; what ties fewer channels to each other first."""
    stated = [name for name, value in call.layer.get_config().items() if type(value) is int and value == call.shape[-1]]
    if (call.shape[-1] or 0) > 1:
        yield from (_Way(False, reads, name) for name in stated for reads in (True, False))
    if call.shape[-1] == len(call.ids):
        yield from (_Way(True, False, name) for name in ("", *stated))
    yield _Way(False, True, "")


class _Trial:
    """A layer with numbers for weights, whole and narrow."""

    def __init__(self, call: Call, way: _Way):
        self._call, self._way = call, way
        self._values = numbers_for(call.inputs[0])
        self._counts = len(call.ids), int(call.shape[-1] or 1)
        self._whole = self._narrow(*self._counts)
        self._weights = random_weights(self._whole)

    def found(self) -> _Found | None:
        """Returns what is true of the layer if the way holds, else `None`."""
        entering, leaving = self._axes()
        kernels, times = kernels_inside(self._whole.weights, self._macs(self._whole, self._counts[0]))
        dropped = []
        for seed in range(3):
            kept = self._choice(seed)
            narrow = self._narrow(*map(len, kept))
            seen = self._compared(narrow, kept, entering, leaving)
            # Otherwise the multiply-adds of other numbers of channels would not be known.
            if seen is None or self._macs(narrow, len(kept[0])) != times * _entries(narrow.weights, kernels):
                return None
            dropped.append(seen)
        samples = some_of(np.concatenate(dropped).round(5))
        return _Found(self._way, entering, leaving, samples, self._is_affine())

    def _is_affine(self) -> bool:
        fill(self._whole, self._weights)
        zero, one, two, less = (_run(self._whole, factor * self._values, training=False) for factor in (0, 1, 2, -1))
        return same(two - zero, 2.0 * (one - zero), tolerance=1e-4) and same(zero - less, one - zero, tolerance=1e-4)

    def _narrow(self, entering: int, leaving: int) -> Any:
        config = {self._way.stated: leaving} if self._way.stated else {}
        return _built(self._call, (*self._values.shape[:-1], entering), config)

    def _axes(self) -> tuple[Axes, Axes]:
        """Finds the axes that are narrower where one number of channels is, and only there."""
        (entering, leaving), way = self._counts, self._way
        half, less = entering // 2, leaving // 2
        if way.passes:
            return narrower_axes(self._whole, self._narrow(half, half), count=entering, kept=half), {}
        read = narrower_axes(self._whole, self._narrow(half, leaving), count=entering, kept=half) if way.reads else {}
        if not way.stated:
            return read, {}
        return read, narrower_axes(self._whole, self._narrow(entering, less), count=leaving, kept=less)

    def _choice(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Chooses channels that enter and channels that leave: half of them, all but one, and one."""
        random = np.random.default_rng(seed)

        def some(count: int, kept: int) -> np.ndarray:
            return np.sort(random.permutation(count)[:kept])

        sizes = [(max(count // 2, 1), count - 1, 1) for count in self._counts]
        entering, leaving = map(np.arange, self._counts)
        if self._way.passes or self._way.reads:
            entering = some(self._counts[0], sizes[0][seed])
        if self._way.stated:
            leaving = some(self._counts[1], sizes[1][-seed])
        return entering, entering if self._way.passes else leaving

    def _macs(self, layer: Any, entering: int) -> int:
        macs, uncounted = count_macs(layer, [keras.KerasTensor((1, *self._values.shape[1:-1], entering))], {})
        if uncounted:
            raise NotImplementedError("cannot be counted")
        return macs

    def _compared(
        self, narrow: Any, kept: tuple[np.ndarray, np.ndarray], entering: Axes, leaving: Axes
    ) -> np.ndarray | None:
        """Returns what dropped channels became, or `None` where the narrow layer gives other numbers."""
        narrowed = cut(cut(self._weights, entering, kept[0]), leaving, kept[1])
        gated = masked(masked(self._weights, entering, kept[0]), leaving, kept[1])
        gone = np.setdiff1d(np.arange(self._counts[1]), kept[1])
        seen = [np.zeros(0)]
        for value in self._call.inputs[0].dropped:
            values = np.full_like(self._values, value)
            values[..., kept[0]] = self._values[..., kept[0]]
            for training in (False, True) if takes_training(narrow) else (False,):
                fill(narrow, narrowed)
                fill(self._whole, gated)
                part = _run(narrow, self._values[..., kept[0]], training=training)
                whole = _run(self._whole, values, training=training)
                if not same(part, whole[..., kept[1]], tolerance=1e-4):
                    return None
                seen.append(whole[..., gone].ravel())
        return np.concatenate(seen)


def _built(call: Call, shape: Sequence[int], changes: Mapping[str, Any]) -> Any:
    layer = type(call.layer).from_config({**call.layer.get_config(), **changes})
    layer(np.zeros(shape, np.float32))
    return layer


def _run(layer: Any, values: np.ndarray, *, training: bool) -> np.ndarray:
    values = values.astype(np.float32)
    return np.asarray(layer(values, training=training) if takes_training(layer) else layer(values))
