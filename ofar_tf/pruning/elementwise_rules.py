"""Functions of single numbers, and the merges that apply one to the same place of several tensors.

Channels stay where they are, and what meets is tied. In a masked network a dropped channel does not vanish: it is zero
behind a kernel, one behind `exp`, and the next kernel multiplies it by zero. That gives zero unless it is infinite or
has no slope, as `1 / x` and `sqrt(x)` at zero; so every operation is tried on what dropped channels may be.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.models.user_code import is_library
from ofar_tf.pruning.call import Call
from ofar_tf.pruning.lineage import passed_block
from ofar_tf.pruning.propagation import Channels, Flow, Propagation
from ofar_tf.pruning.trials import some_of

layers, activations = keras.layers, keras.activations

_KNOWN_ACTIVATIONS = [
    getattr(activations, name)
    for name in (
        *("linear", "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish"),
        *("sigmoid", "log_sigmoid", "hard_sigmoid", "hard_silu", "tanh", "hard_tanh", "softplus", "softsign"),
        *("exponential", "squareplus", "soft_shrink", "hard_shrink", "tanh_shrink", "threshold"),
        *("sparse_plus", "sparse_sigmoid"),
    )
]

# Keras exports no public names for the classes of what functions on tensors leave in a graph.
LINEAR_FUNCTIONS = ("Negative", "Cast", "SaturateCast", "StopGradient", "Copy")
BENT_FUNCTIONS = (
    *("ReLU", "Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Celu", "Gelu", "Silu", "HardSilu", "Mish", "Threshold"),
    *("Sigmoid", "LogSigmoid", "HardSigmoid", "SparseSigmoid", "Softplus", "SparsePlus", "Squareplus", "Softsign"),
    *("Tanh", "HardTanh", "TanhShrink", "SoftShrink", "HardShrink", "Sin", "Cos", "Tan", "Sinh", "Cosh"),
    *("Arctan", "Arcsinh", "Sinc", "Erf", "Erfc", "Exp", "Exp2", "Expm1", "Log", "Log1p", "Log2", "Log10"),
    *("Absolute", "Abs", "Fabs", "Square", "Sqrt", "Rsqrt", "Cbrt", "Reciprocal", "Clip", "NanToNum"),
    *("Sign", "Heaviside", "Round", "Floor", "Ceil", "Trunc", "LogicalNot", "Isfinite", "Isnan", "Isinf"),
)
SUMS = ("Add", "Subtract", "Maximum", "Minimum", "Fmax", "Fmin")
PRODUCTS = ("Multiply", "Divide", "TrueDivide")
OTHER_MERGES = (
    *(
        "DivideNoNan",
        "Power",
        "Where",
        "Logaddexp",
        "Hypot",
        "Arctan2",
        "Mod",
        "FloorDivide",
        "LogicalAnd",
        "LogicalOr",
    ),
    *("Greater", "GreaterEqual", "Less", "LessEqual", "Equal", "NotEqual"),
)
SUM_LAYERS = (layers.Add, layers.Subtract, layers.Average, layers.Maximum, layers.Minimum)

# Layers that merge check shapes of whole tensors, so what they compute is written down here.
_LAYER_FUNCTIONS: dict[type, Callable[[Sequence[Any]], Any]] = {
    layers.Add: tf.add_n,
    layers.Subtract: lambda values: values[0] - values[1],
    layers.Average: lambda values: tf.add_n(values) / len(values),
    layers.Maximum: lambda values: tf.reduce_max(tf.stack(values), axis=0),
    layers.Minimum: lambda values: tf.reduce_min(tf.stack(values), axis=0),
    layers.Multiply: lambda values: tf.reduce_prod(tf.stack(values), axis=0),
}
BENT_LAYERS = (layers.ReLU, layers.LeakyReLU, layers.ELU, layers.PReLU)
_FEW = 12


def bends(call: Call) -> bool:
    """Returns whether a layer or operation whose rule is known applies a non-linearity."""
    kind, name = type(call.layer), type(call.layer).__name__
    if kind in BENT_LAYERS or name in BENT_FUNCTIONS or name in OTHER_MERGES:
        return True
    if name in PRODUCTS:
        return len(_of_images(call)) > 1
    return name in ("Maximum", "Minimum", "Fmax", "Fmin", "Glu", "Softmax", "LogSoftmax")


def is_elementwise(activation: Any) -> bool:
    """Returns whether the activation of a layer looks at single numbers: it is known to, or a function that does."""
    known = any(activation is function for function in _KNOWN_ACTIVATIONS)
    return known or type(activation) in (layers.ReLU, layers.LeakyReLU, layers.ELU) or _is_tried_alone(activation)


def _is_tried_alone(activation: Any) -> bool:
    """Tries a function of the user's on a map, and on a few of its numbers without the others: what they give stays."""
    if not inspect.isfunction(activation) or is_library(activation.__module__):
        return False
    numbers = tf.constant(np.random.default_rng(0).normal(0.0, 4.0, (2, 3, 3, 4)), tf.float32)
    few = tf.reshape(numbers, [-1])[-_FEW:]
    try:
        together, alone = np.asarray(activation(numbers)), np.asarray(activation(few))
    except Exception:  # It may raise anything, for a shape that it does not expect.
        return False
    return together.shape == numbers.shape and np.allclose(together.ravel()[-_FEW:], alone, rtol=1e-4, atol=1e-6)


def function(found: Propagation, call: Call) -> Sequence[Flow]:
    """A function of one tensor, number by number."""
    return [Channels(call.ids, call.inputs[0].axis, dropped=_dropped(call))]


def activation(found: Propagation, call: Call) -> Sequence[Flow]:
    """The Activation layer."""
    if not is_elementwise(call.layer.activation):
        raise NotImplementedError("may couple channels")
    return function(found, call)


def product(found: Propagation, call: Call) -> Sequence[Flow]:
    """A product of tensors, or a quotient: gates do not take what they scale past anything."""
    return gate(found, call, merge(found, call))


def gate(found: Propagation, call: Call, flow: Channels) -> Sequence[Flow]:
    """Says of what a product gives that nothing runs past a block there."""
    if len(_of_images(call)) > 1:
        found.note(flow.ids, f"{call.title} is a gate")
    return [flow]


def selection(found: Propagation, call: Call) -> Sequence[Flow]:
    """Any other function of several tensors, number by number."""
    return [merge(found, call)]


def total(found: Propagation, call: Call) -> Sequence[Flow]:
    """A sum of tensors, or what merges branches likewise; it may join the residual stream with a block."""
    return joined(found, call, merge(found, call))


def joined(found: Propagation, call: Call, flow: Channels) -> Sequence[Flow]:
    """Says of what a sum gives whether a stream begins or goes on there."""
    if len(_of_images(call)) < 2:  # `x + 1.0` has no second branch.
        return [flow]
    branches = [tensor for tensor in _of_images(call) if not _is_spread(tensor, call.shape)]
    fork = passed_block([tensor.lineage for tensor in branches]) if len(branches) > 1 else None
    if fork is None:
        found.note(flow.ids, f"{call.title} joins no branch that runs past a block")
        return [flow]
    # Where the branches part, the stream begins, even if a projection shortcut changes its channels on the way.
    for ids in (flow.ids, fork.ids):
        found.stream.append(ids)
        found.note(ids, f"{call.title} joins what comes through a block with what runs past it")
    return [flow]


def _of_images(call: Call) -> list[Channels]:
    return [tensor for tensor in call.inputs if not tensor.is_constant]


def merge(found: Propagation, call: Call) -> Channels:
    """Ties the channels of tensors that meet number by number; a single one that meets them all must stay."""
    return met(found, call, dropped=_dropped(call))


def met(found: Propagation, call: Call, *, dropped: np.ndarray) -> Channels:
    """The same where it is known what dropped channels may be behind it."""
    widest = max(call.inputs, key=lambda tensor: len(tensor.ids))
    for tensor in call.inputs:
        if len(tensor.ids) == len(widest.ids) and tensor.axis == widest.axis:
            found.tie(widest.ids, tensor.ids)
        elif len(tensor.ids) > 1 or tensor.shape[widest.axis :][:1] not in ((), (1,)):
            raise NotImplementedError("meets channels along different axes")
        else:
            found.fix(tensor.ids, "it is broadcast over all channels of a merge")
    return Channels(widest.ids, widest.axis, dropped=dropped)


def _is_spread(tensor: Channels, shape: Sequence[int | None]) -> bool:
    """Returns whether a tensor is one number for each channel, spread over positions: a gate, even if it is added."""
    own = [1] * (len(shape) - len(tensor.shape)) + list(tensor.shape[1:])
    sizes = zip(range(1 - len(shape), 0), own, shape[1:], strict=True)
    return any(mine == 1 and size != 1 for axis, mine, size in sizes if axis != tensor.axis)


def _dropped(call: Call) -> np.ndarray:
    """Tries an operation on what dropped channels may be, and returns what they may be behind it."""
    names = list(dict.fromkeys(call.tensors))
    widest = max(len(tensor.ids) for tensor in call.inputs)
    grid = np.meshgrid(*(_samples(call.tensors[name], widest=widest) for name in names), indexing="ij")
    samples = {name: tf.constant(values.ravel(), tf.float32) for name, values in zip(names, grid, strict=True)}
    args, kwargs = keras.tree.map_structure(lambda leaf: samples.get(id(leaf), leaf), (list(call.args), call.kwargs))
    with tf.GradientTape() as tape:
        tape.watch(list(samples.values()))
        values = _compute(call.layer, args, kwargs)
    slopes = tape.gradient(values, list(samples.values())) if values.dtype.is_floating else []
    values = np.asarray(values, np.float32)
    if not all(np.isfinite(array).all() for array in (values, *(s for s in slopes if s is not None))):
        if type(call.layer).__name__.endswith("Divide"):
            raise NotImplementedError("divides by channels, which are zero once pruned")
        raise NotImplementedError("has no finite value or slope at zero, which channels are once pruned")
    return some_of(values)


def _samples(tensor: Channels, *, widest: int) -> np.ndarray:
    """Returns what a tensor may be where channels are dropped; a single one that meets them all never is."""
    return np.union1d(tensor.dropped, [1.0]) if len(tensor.ids) == 1 < widest else tensor.dropped


def _compute(operation: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    if type(operation) in _LAYER_FUNCTIONS:
        return _LAYER_FUNCTIONS[type(operation)](args[0])
    return tf.convert_to_tensor(operation.call(*args, **kwargs))
