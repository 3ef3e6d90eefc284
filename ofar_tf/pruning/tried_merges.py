"""Layers of the user's that make one tensor of several, tried: whether each channel is made of these channels alone.

A block that is dropped beside its shortcut, a branch that a weight scales, a weighted sum of a pyramid's levels, a
gate. Made anew for some of the channels, with their entries of its weights, such a layer must give what the whole one
gives of them where the others are dropped. It is a gate if twice as much of one tensor gives twice as much, else a sum.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.models.functional_graph import takes_training
from ofar_tf.models.layer_copy import copy_of
from ofar_tf.pruning.call import Call
from ofar_tf.pruning.elementwise_rules import gate, joined, met
from ofar_tf.pruning.graph_macs import count_macs
from ofar_tf.pruning.propagation import Flow, Propagation
from ofar_tf.pruning.trials import (
    Axes,
    arguments_with,
    cut,
    fill,
    finite_values,
    masked,
    narrower_axes,
    numbers_for,
    random_weights,
    same,
    some_of,
    trains_alike,
    tried_once,
)

_MOST_CASES = 27


@dataclass(frozen=True)
class _Merge:
    """What is true of a layer.

    Attributes:
        axes: Those of its weights that channels lie along.
        dropped: What dropped channels may be behind it.
        is_linear: Whether it is a linear function of all its tensors together, apart from what it adds.
        is_gate: Whether it gives twice as much of twice as much of one tensor alone.
    """

    axes: Axes
    dropped: np.ndarray
    is_linear: bool
    is_gate: bool


def merged(found: Propagation, call: Call) -> Sequence[Flow]:
    """The rule of such a layer."""
    known = _known(call)
    if known is None:
        raise NotImplementedError("is unknown to the library")
    flow = met(found, call, dropped=known.dropped)
    for number, axes in known.axes.items():
        for axis in axes:
            found.own(call.layer.weights[number], axis, flow.ids)
    return (gate if known.is_gate else joined)(found, call, flow)


def is_linear(call: Call) -> bool:
    """Returns whether such a layer is a linear function of its tensors."""
    known = _known(call)
    return known is not None and known.is_linear


def is_gate(call: Call) -> bool:
    """Returns whether such a layer scales one of its tensors by the others."""
    known = _known(call)
    return known is not None and known.is_gate


def _known(call: Call) -> _Merge | None:
    return tried_once(call, _found) if _may_merge(call) else None


def _found(call: Call) -> _Merge | None:
    return _Trial(call).found()


def _may_merge(call: Call) -> bool:
    """Returns whether a call gives one tensor of several, each with as many channels, on the last axis, or with one."""
    channels = call.shape[-1] or 0
    counts = {len(tensor.ids) for tensor in call.inputs}
    is_one = len(call.inputs) > 1 and len(call.shapes) == 1
    return is_one and {channels} <= counts <= {1, channels} and channels > 1 and {t.axis for t in call.inputs} == {-1}


class _Trial:
    """A layer with numbers for weights, on numbers for tensors: an image for each of what dropped channels may be."""

    def __init__(self, call: Call):
        self._call = call
        self._wide = {key: tensor for key, tensor in call.tensors.items() if len(tensor.ids) > 1}
        self._channels = max(len(tensor.ids) for tensor in self._wide.values())
        cases = list(product(*(tensor.dropped for tensor in self._wide.values())))
        cases = cases[:: -(-len(cases) // _MOST_CASES)]
        self._dropped = dict(zip(self._wide, np.array(cases, np.float32).T, strict=True))
        self._values = {
            key: numbers_for(tensor, count=len(cases), seed=number)
            for number, (key, tensor) in enumerate(call.tensors.items())
        }
        self._whole = self._made(self._values)
        self._weights = random_weights(self._whole)

    def found(self) -> _Merge | None:
        """Returns what is true of the layer; `None` where channels are not made of these channels alone."""
        if self._multiplies():
            return None  # The multiply-adds of fewer channels would not be known.
        half = self._channels // 2
        axes = narrower_axes(self._whole, self._made(self._of(np.arange(half))), count=self._channels, kept=half)
        dropped = []
        for seed, kept in enumerate((half, self._channels - 1, 1)):
            chosen = np.sort(np.random.default_rng(seed).permutation(self._channels)[:kept])
            seen = self._seen(chosen, axes)
            if seen is None:
                return None
            dropped.append(seen.ravel())
        fill(self._whole, self._weights)
        is_linear = self._grows(list(self._values), but_for=True)
        is_gate = any(self._grows([key]) for key in self._values)
        return _Merge(axes, some_of(np.concatenate(dropped).round(5)), is_linear, is_gate)

    def _multiplies(self) -> bool:
        tensors = {key: keras.KerasTensor((1, *values.shape[1:])) for key, values in self._values.items()}
        return count_macs(self._whole, *arguments_with(self._call, tensors)) != (0, {})

    def _made(self, values: Mapping[int, np.ndarray]) -> Any:
        layer = copy_of(self._call.layer)
        self._run(layer, values)
        return layer

    def _run(self, layer: Any, values: Mapping[int, Any], *, training: bool = False) -> np.ndarray:
        args, kwargs = arguments_with(self._call, values)
        return np.asarray(layer(*args, **kwargs, **({"training": training} if takes_training(layer) else {})))

    def _of(self, kept: np.ndarray) -> dict[int, np.ndarray]:
        return {key: values[..., kept] if key in self._wide else values for key, values in self._values.items()}

    def _masked(self, kept: np.ndarray) -> dict[int, np.ndarray]:
        values = {key: each.copy() for key, each in self._values.items()}
        gone = np.setdiff1d(np.arange(self._channels), kept)
        for key, dropped in self._dropped.items():
            values[key][..., gone] = dropped.reshape([-1] + [1] * (values[key].ndim - 1))
        return values

    def _seen(self, kept: np.ndarray, axes: Axes) -> np.ndarray | None:
        """Returns what dropped channels became, or `None` where a layer for the others gives other numbers of these."""
        part, given = self._of(kept), self._masked(kept)
        narrow = self._made(part)
        fill(narrow, cut(self._weights, axes, kept))
        fill(self._whole, masked(self._weights, axes, kept))
        whole = self._run(self._whole, given)
        if not same(self._run(narrow, part), whole[..., kept]) or not self._is_finite(given):
            return None
        alike = trains_alike(
            lambda: self._run(self._whole, given, training=True),
            lambda: self._run(narrow, part, training=True),
            kept=kept,
        )
        return np.delete(whole, kept, axis=-1) if alike else None

    def _is_finite(self, given: Mapping[int, np.ndarray]) -> bool:
        def run(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
            args, kwargs = arguments_with(self._call, dict(zip(given, tensors, strict=True)))
            return self._whole(*args, **kwargs)

        return finite_values(run, list(given.values())) is not None

    def _grows(self, keys: Sequence[int], *, but_for: bool = False) -> bool:
        """Returns whether its result grows by the same factor as some of its tensors, apart from what it adds."""

        def given(factor: float) -> np.ndarray:
            return self._run(self._whole, {**self._values, **{key: factor * self._values[key] for key in keys}})

        rest = given(0.0) if but_for else 0.0
        return all(same(given(factor) - rest, factor * (given(1.0) - rest)) for factor in (2.0, -1.0))
