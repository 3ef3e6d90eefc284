"""Layers of the user's on numbers: what rules need that find out by trying what they cannot read."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.pruning.call import Call
from ofar_tf.pruning.propagation import Channels

Axes = Mapping[int, tuple[int, ...]]
"""The axes of weights, by their position, that channels lie along."""

Found = TypeVar("Found")

_UNKNOWN_SIZE, _SAMPLES, _DRAWS = 8, 12, 8
_TRIED: dict[Any, Any] = {}


def has_one_tensor(call: Call) -> bool:
    """Returns whether a layer is told nothing but one tensor with its channels last, and gives one."""
    told = {name: value for name, value in call.kwargs.items() if name != "training" and value is not None}
    return len(call.args) == len(call.inputs) == len(call.shapes) == 1 and not told and call.inputs[0].axis == -1


def outside_of_the_trace(function: Callable[[], Any]) -> Any:
    """Runs a function where variables have values: Keras' scope, in which the trace has none, is one of this thread."""
    with ThreadPoolExecutor(1) as thread:
        try:
            return thread.submit(function).result()
        except Exception:  # A user's layer may raise anything.
            return None


def tried_once(call: Call, trial: Callable[[Call], Found | None]) -> Found | None:
    """Returns what trying a layer shows, `None` where it shows nothing or fails.

    Networks repeat their layers, and are traced more than once, so what was tried is kept.
    """
    config = {name: value for name, value in call.layer.get_config().items() if name != "name"}
    inputs = tuple((tensor.shape, tensor.dropped.tobytes()) for tensor in call.inputs)
    places = {key: f"tensor {number}" for number, key in enumerate(call.tensors)}  # Of two that are one, it matters.
    key = trial, type(call.layer), repr(config), inputs, call.shape, str(arguments_with(call, places))
    if key not in _TRIED:
        _TRIED[key] = outside_of_the_trace(lambda: trial(call))
    found: Found | None = _TRIED[key]
    return found


def arguments_with(call: Call, values: Mapping[int, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """Returns the arguments of a call without `training`, with other values for its tensors.

    Args:
        call: The call.
        values: By the `id` of a tensor what is given for it.
    """
    args, kwargs = keras.tree.map_structure(
        lambda leaf: values.get(id(leaf), leaf), (list(call.args), dict(call.kwargs))
    )
    return args, {name: value for name, value in kwargs.items() if name != "training"}


def numbers_for(tensor: Channels, *, count: int = 2, seed: int = 0) -> np.ndarray:
    """Returns numbers that a layer can be tried on in place of a tensor.

    Args:
        tensor: The tensor; sizes that are not known become eight.
        count: How many images.
        seed: Other numbers for each.
    """
    shape = [count, *(size or _UNKNOWN_SIZE for size in tensor.shape[1:])]
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def some_of(values: np.ndarray) -> np.ndarray:
    """Returns different ones of the numbers that dropped channels may be, few enough to try, those nearest zero."""
    unique = np.unique(values)
    return unique[np.argsort(np.abs(unique))][:_SAMPLES]


def same(one: Any, other: Any, *, tolerance: float = 1e-5) -> bool:
    """Returns whether two arrays are as good as equal."""
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-4, atol=tolerance)


def trains_alike(whole: Callable[[], np.ndarray], part: Callable[[], np.ndarray], *, kept: np.ndarray) -> bool:
    """Returns whether training gives of some channels what it gives of them among all, or draws what it gives.

    Two draws may be equal, so it is tried until it shows.

    Args:
        whole: Runs a layer, as it trains, on all channels.
        part: Runs one on some of them.
        kept: Which these are.
    """
    first = whole()
    for _ in range(_DRAWS):
        given, narrow = whole(), part()
        if narrow.shape != given[..., kept].shape:
            return False
        if same(narrow, given[..., kept]) or not same(given, first):
            return True
    return False


def finite_values(function: Callable[[Sequence[tf.Tensor]], tf.Tensor], arrays: Sequence[Any]) -> np.ndarray | None:
    """Returns what a function gives of arrays; `None` where it has no finite value or slope."""
    tensors = [tf.convert_to_tensor(each) for each in arrays]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        values = function(tensors)
    slopes = tape.gradient(values, tensors, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return np.asarray(values) if all(np.isfinite(np.asarray(each)).all() for each in (values, *slopes)) else None


def narrower_axes(whole: Any, narrow: Any, *, count: int, kept: int) -> Axes:
    """Finds the axes of weights that are as long as the channels are many.

    Args:
        whole: A layer for all channels.
        narrow: One for some of them.
        count: How many channels there are.
        kept: How many there are some of.

    Raises:
        NotImplementedError: If an axis is shorter, but not as the channels are fewer.
    """
    axes: dict[int, tuple[int, ...]] = {}
    for number, (one, other) in enumerate(zip(whole.weights, narrow.weights, strict=True)):
        changed = [axis for axis, sizes in enumerate(zip(one.shape, other.shape, strict=True)) if sizes[0] != sizes[1]]
        if any((one.shape[axis], other.shape[axis]) != (count, kept) for axis in changed):
            raise NotImplementedError("has weights that do not grow with the channels")
        if changed:
            axes[number] = tuple(changed)
    return axes


def random_weights(layer: Any) -> list[np.ndarray]:
    """Returns numbers for the weights of a layer: a scale that starts at zero would hide what it scales."""
    random = np.random.default_rng(0)
    given = [np.asarray(weight) for weight in layer.weights]
    return [
        random.uniform(0.5, 1.5, each.shape).astype(each.dtype) if each.dtype.kind == "f" else each for each in given
    ]


def cut(weights: list[np.ndarray], axes: Axes, kept: np.ndarray) -> list[np.ndarray]:
    """Returns the entries of weights that belong to some channels."""
    return [_along(axes.get(number, ()), each, kept) for number, each in enumerate(weights)]


def masked(weights: list[np.ndarray], axes: Axes, kept: np.ndarray) -> list[np.ndarray]:
    """Returns weights with zeros for all channels but some."""
    return [_gated(axes.get(number, ()), each, kept) for number, each in enumerate(weights)]


def fill(layer: Any, weights: list[np.ndarray]) -> None:
    """Gives the weights of a layer their values."""
    for weight, value in zip(layer.weights, weights, strict=True):
        weight.assign(value)


def _along(axes: tuple[int, ...], weight: np.ndarray, kept: np.ndarray) -> np.ndarray:
    for axis in axes:
        weight = np.take(weight, kept, axis=axis)
    return weight


def _gated(axes: tuple[int, ...], weight: np.ndarray, kept: np.ndarray) -> np.ndarray:
    for axis in axes:
        gate = np.isin(np.arange(weight.shape[axis]), kept).astype(weight.dtype)
        weight = weight * gate.reshape([-1 if each == axis else 1 for each in range(weight.ndim)])
    return weight
