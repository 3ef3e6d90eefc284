"""How channels travel through each kind of layer: one rule per kind.

The rules know nothing of pruning rates or masks. Add a layer to the library by adding one rule to `_RULES`. A rule
raises `NotImplementedError` with a few words where it cannot follow the channels; what the layer touches then stays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ofar_tf.pruning.propagation import Channels, Ids, Propagation

layers = keras.layers
activations = keras.activations


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer, as a rule sees it.

    Attributes:
        layer: The layer or Keras operation.
        inputs: What is known of each input tensor, in order.
        args: The positional arguments of the call.
        shape: Static shape of the output, `None` where unknown.
    """

    layer: Any
    inputs: Sequence[Channels]
    args: Sequence[Any]
    shape: tuple[int | None, ...]

    @property
    def ids(self) -> Ids:
        """The channels of the first input."""
        return self.inputs[0].ids

    def is_last(self, axis: int) -> bool:
        """Returns whether an axis of the first input is its channel axis."""
        return axis in (-1, len(self.inputs[0].shape) - 1)


Rule = Callable[[Propagation, Call], Ids]

_ELEMENTWISE = [
    getattr(activations, name)
    for name in (
        *("linear", "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish"),
        *("sigmoid", "log_sigmoid", "hard_sigmoid", "hard_silu", "tanh", "hard_tanh", "softplus", "softsign"),
        *("exponential", "squareplus", "soft_shrink", "hard_shrink", "tanh_shrink", "threshold"),
    )
]


def rule_for(operation: Any) -> Rule | None:
    """Returns the rule for a layer or operation, `None` where the library knows none.

    A subclass of a Keras layer may compute anything, so only the class itself counts as known.
    """
    if isinstance(operation, layers.Layer):
        return _RULES.get(type(operation))
    known = type(operation).__module__.startswith("keras.src.ops.")
    return _OPERATION_RULES.get(type(operation).__name__) if known else None


def is_activated(operation: Any, inputs: Sequence[Channels]) -> bool:
    """Returns whether what leaves an operation has passed a non-linearity since the last kernel or sum."""
    activation = getattr(operation, "activation", None)
    if activation is not None and activation is not activations.linear:
        return True
    if isinstance(operation, _NONLINEAR) or type(operation).__name__ in _NONLINEAR_OPERATIONS:
        return True
    return not isinstance(operation, _LINEAR) and all(tensor.activated for tensor in inputs)


def is_sum(operation: Any, inputs: Sequence[Channels]) -> bool:
    """Returns whether an operation joins branches of a residual network; `x + 1.0` has no second branch."""
    return rule_for(operation) is _sum and len(inputs) > 1


def _enter(found: Propagation, call: Call) -> Ids:
    """Returns what enters a kernel; if it is linear, it is what residual blocks hand to each other.

    A tensor that reaches the next kernel without a non-linearity is a linear bottleneck (MobileNetV2): together with
    the sums it forms the residual stream, which DESIGN D10 leaves whole by default.
    """
    if not call.inputs[0].activated:
        found.stream.append(call.ids)
    return call.ids


def _leave(found: Propagation, call: Call, ids: Ids) -> Ids:
    """Lets channels leave a kernel through its bias and its activation."""
    if call.layer.use_bias:
        found.own(call.layer.bias, 0, ids)
    if not _is_elementwise(call.layer.activation):
        found.block(ids, f"{_title(call.layer)} has an activation that may couple channels")
    return ids


def _is_elementwise(activation: Any) -> bool:
    known = any(activation is function for function in _ELEMENTWISE)
    return known or type(activation) in (layers.ReLU, layers.LeakyReLU, layers.ELU)


def _title(layer: Any) -> str:
    return f"{type(layer).__name__} {layer.name!r}"


def _conv(found: Propagation, call: Call) -> Ids:
    layer = call.layer
    if layer.groups == len(call.ids) > 1:  # One filter bank per channel: a depthwise convolution by another name.
        leaving = np.repeat(call.ids, layer.filters // layer.groups)
        return _leave(found, call, found.own(layer.kernel, -1, leaving))
    entering, leaving = _enter(found, call), found.own(layer.kernel, -1)
    if layer.groups > 1:
        # A kernel stores one input axis for all its groups, so the same positions must live or die in every group.
        blocks, leaving_blocks = entering.reshape(layer.groups, -1), leaving.reshape(layer.groups, -1)
        for block, leaving_block in zip(blocks[1:], leaving_blocks[1:], strict=True):
            found.tie(blocks[0], block)
            found.tie(leaving_blocks[0], leaving_block)
        entering = blocks[0]
    found.own(layer.kernel, -2, entering)
    return _leave(found, call, leaving)


def _conv_transpose(found: Propagation, call: Call) -> Ids:
    found.own(call.layer.kernel, -1, _enter(found, call))
    return _leave(found, call, found.own(call.layer.kernel, -2))


def _depthwise(found: Propagation, call: Call) -> Ids:
    found.own(call.layer.kernel, 2, call.ids)
    return _leave(found, call, np.repeat(call.ids, call.layer.depth_multiplier))


def _separable(found: Propagation, call: Call) -> Ids:
    found.own(call.layer.depthwise_kernel, 2, _enter(found, call))
    found.own(call.layer.pointwise_kernel, 2, np.repeat(call.ids, call.layer.depth_multiplier))
    return _leave(found, call, found.own(call.layer.pointwise_kernel, 3))


def _dense(found: Propagation, call: Call) -> Ids:
    found.own(call.layer.kernel, 0, _enter(found, call))
    return _leave(found, call, found.own(call.layer.kernel, 1))


def _batch_norm(found: Propagation, call: Call) -> Ids:
    if not call.is_last(call.layer.axis):
        raise NotImplementedError("normalizes an axis that is not the last")
    for variable in call.layer.weights:
        found.own(variable, 0, call.ids)
    if call.layer.scale:
        found.gammas.add(id(call.layer.gamma))
    return call.ids


def _normalization(found: Propagation, call: Call) -> Ids:
    # Its constants are not weights that could be narrowed; in practice it sits right behind the input.
    found.block(call.ids, f"{_title(call.layer)} holds constants for it")
    return call.ids


def _rescaling(found: Propagation, call: Call) -> Ids:
    if np.ndim(call.layer.scale) or np.ndim(call.layer.offset):
        found.block(call.ids, f"{_title(call.layer)} holds constants for it")
    return call.ids


def _prelu(found: Propagation, call: Call) -> Ids:
    slopes = call.layer.alpha.shape[-1]
    # With `shared_axes` one slope may serve all channels: then the weight holds none of them.
    return found.own(call.layer.alpha, -1, call.ids) if slopes == len(call.ids) else call.ids


def _dropout(found: Propagation, call: Call) -> Ids:
    noise_shape = getattr(call.layer, "noise_shape", None)
    if noise_shape is not None and noise_shape[-1] not in (None, 1):
        raise NotImplementedError("has a noise_shape that states the number of channels")
    return call.ids


def _same(found: Propagation, call: Call) -> Ids:
    return call.ids


def _activation(found: Propagation, call: Call) -> Ids:
    if not _is_elementwise(call.layer.activation):
        raise NotImplementedError("may couple channels")
    return call.ids


def _multiply(found: Propagation, call: Call) -> Ids:
    """Ties the inputs of an element-wise merge; one that is a single broadcast channel must stay."""
    widest = max((tensor.ids for tensor in call.inputs), key=len)
    for tensor in call.inputs:
        if len(tensor.ids) == len(widest):
            found.tie(widest, tensor.ids)
        else:
            found.fix(tensor.ids, "it is broadcast over all channels of a merge")
    return widest


def _divide(found: Propagation, call: Call) -> Ids:
    if isinstance(call.args[1], keras.KerasTensor):
        raise NotImplementedError("divides by channels, which are zero once pruned")
    return call.ids


def _sum(found: Propagation, call: Call) -> Ids:
    ids = _multiply(found, call)
    if is_sum(call.layer, call.inputs):
        found.stream.append(ids)
        # Where the branches part, the stream begins, even if a projection shortcut changes its channels on the way.
        common = set.intersection(*(set(tensor.path) for tensor in call.inputs))
        if common:
            found.stream.append(call.inputs[0].path[max(common)])
    return ids


def _concatenate(found: Propagation, call: Call) -> Ids:
    if call.is_last(call.layer.axis):
        return np.concatenate([tensor.ids for tensor in call.inputs])
    return _multiply(found, call)


def _reshape(found: Propagation, call: Call) -> Ids:
    """Channels survive a reshape if every index of the new last axis still belongs to one channel."""
    ids = call.ids
    if call.inputs[0].shape[-1] != call.shape[-1]:
        source = [size for size in call.inputs[0].shape[1:] if size is not None]
        if len(source) < len(call.inputs[0].shape) - 1 or call.shape[-1] is None:
            raise NotImplementedError("mixes channels with positions of unknown extent")
        rows = np.broadcast_to(ids, source).reshape(-1, call.shape[-1])
        if (rows != rows[0]).any():
            raise NotImplementedError("spreads channels over several axes")
        ids = rows[0]
    if getattr(call.layer, "target_shape", (-1,))[-1] != -1:
        found.set_width(call.layer, ids)
    return ids


def _reduce(found: Propagation, call: Call) -> Ids:
    axes = np.atleast_1d(call.layer.axis) if call.layer.axis is not None else [-1]
    if any(call.is_last(int(axis)) for axis in axes):
        raise NotImplementedError("reduces the channels")
    return call.ids


_RULES: dict[type, Rule] = {
    **dict.fromkeys((layers.Conv1D, layers.Conv2D), _conv),
    layers.Conv2DTranspose: _conv_transpose,
    layers.DepthwiseConv2D: _depthwise,
    layers.SeparableConv2D: _separable,
    layers.Dense: _dense,
    layers.BatchNormalization: _batch_norm,
    layers.Normalization: _normalization,
    layers.Rescaling: _rescaling,
    layers.PReLU: _prelu,
    layers.Activation: _activation,
    layers.Multiply: _multiply,
    **dict.fromkeys((layers.Add, layers.Subtract, layers.Average, layers.Maximum, layers.Minimum), _sum),
    layers.Concatenate: _concatenate,
    **dict.fromkeys((layers.Flatten, layers.Reshape), _reshape),
    **dict.fromkeys((layers.Dropout, layers.AlphaDropout, layers.GaussianDropout, layers.SpatialDropout2D), _dropout),
    **dict.fromkeys((layers.GaussianNoise, layers.ActivityRegularization, layers.Identity), _same),
    **dict.fromkeys((layers.ReLU, layers.LeakyReLU, layers.ELU), _same),
    **dict.fromkeys((layers.ZeroPadding2D, layers.Cropping2D, layers.UpSampling2D, layers.Resizing), _same),
    **dict.fromkeys((layers.MaxPooling2D, layers.AveragePooling2D), _same),
    **dict.fromkeys((layers.GlobalMaxPooling2D, layers.GlobalAveragePooling2D), _same),
    **dict.fromkeys((layers.AdaptiveMaxPooling2D, layers.AdaptiveAveragePooling2D), _same),
}

_NONLINEAR_OPERATIONS = frozenset(
    ("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Gelu", "Silu", "HardSilu", "Sigmoid", "HardSigmoid", "Tanh")
)
# `x + y` on Keras tensors records an operation, not a layer; Keras does not export these classes by a public name.
_OPERATION_RULES: dict[str, Rule] = {
    **dict.fromkeys(("Add", "Subtract", "Maximum", "Minimum"), _sum),
    "Multiply": _multiply,
    **dict.fromkeys(("Divide", "TrueDivide"), _divide),
    "Concatenate": _concatenate,
    **dict.fromkeys(("Mean", "Max"), _reduce),
    **dict.fromkeys(_NONLINEAR_OPERATIONS, _same),
}

# A depthwise convolution mixes no channels, so it is no bottleneck: what enters it activated leaves it so.
_LINEAR = (
    *(layers.Conv1D, layers.Conv2D, layers.Conv2DTranspose, layers.SeparableConv2D, layers.Dense),
    *(layers.Add, layers.Subtract, layers.Average),
)
_NONLINEAR = (layers.ReLU, layers.LeakyReLU, layers.ELU, layers.PReLU)
