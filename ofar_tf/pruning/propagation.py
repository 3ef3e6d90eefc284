"""How channels travel through each kind of layer.

A *channel* here is an integer identity. Every tensor carries one identity per entry of its last axis, every axis of a
weight that holds channels carries one per index. A rule says, for one kind of layer, which identities are the same
channel (`tie`), which weights they index (`own`) and what identities leave the layer. The rules know nothing of
pruning rates or masks: add a layer to the library by adding one rule to `RULES`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

layers = keras.layers
Ids = np.ndarray


@dataclass(frozen=True)
class Channels:
    """What is known of a tensor while the graph is traced.

    Attributes:
        ids: int64 `[C]`, the identity of each entry of the tensor's last axis.
        shape: The tensor's static shape, `None` where unknown.
        activated: Whether a non-linearity was applied since the last convolution or dense layer.
    """

    ids: Ids
    shape: tuple[int | None, ...]
    activated: bool


@dataclass
class Propagation:
    """The ties, owned weights and reasons found so far; each rule adds to it.

    Attributes:
        count: How many identities exist.
        ties: Pairs of equally long runs of identities that are the same channels.
        owners: The identities along an axis of a weight, by (id of the variable, axis).
        fixed: Channels that must stay, each with the reason.
        stream: Channels of the residual stream.
        gammas: The ids of the BatchNorm scales, which rank channels.
    """

    count: int = 0
    ties: list[tuple[Ids, Ids]] = field(default_factory=list)
    owners: dict[tuple[int, int], Ids] = field(default_factory=dict)
    fixed: list[tuple[Ids, str]] = field(default_factory=list)
    stream: list[Ids] = field(default_factory=list)
    gammas: set[int] = field(default_factory=set)

    def new(self, size: int) -> Ids:
        """Returns `size` identities never used before."""
        self.count += size
        return np.arange(self.count - size, self.count)

    def tie(self, first: Ids, second: Ids) -> None:
        """Declares two equally long runs of identities to be the same channels."""
        self.ties.append((first, second))

    def own(self, variable: keras.Variable, axis: int, ids: Ids | None = None) -> Ids:
        """Declares that an axis of a weight is indexed by these channels, and returns its identities.

        A layer that is called twice owns its weights once: the second call ties its channels to the first call's.
        """
        key = (id(variable), axis % len(variable.shape))
        if key not in self.owners:
            self.owners[key] = self.new(variable.shape[axis])
        if ids is not None:
            self.tie(self.owners[key], ids)
        return self.owners[key]

    def fix(self, ids: Ids, reason: str) -> None:
        """Declares channels that must never be pruned."""
        self.fixed.append((ids, reason))


Rule = Callable[[Propagation, Any, Sequence[Channels], tuple[int | None, ...]], Ids]


def consume(found: Propagation, tensor: Channels) -> Ids:
    """Marks the input of a convolution or dense layer; a linear one is what residual blocks hand to each other.

    A tensor that reaches the next kernel without a non-linearity is a linear bottleneck (MobileNetV2): together with
    the sums it forms the residual stream, which DESIGN D10 leaves whole by default.
    """
    if not tensor.activated:
        found.stream.append(tensor.ids)
    return tensor.ids


def _bias(found: Propagation, layer: Any, ids: Ids) -> Ids:
    if layer.use_bias:
        found.own(layer.bias, 0, ids)
    return ids


def _conv(found: Propagation, layer: Any, inputs: Sequence[Channels], _: tuple[int | None, ...]) -> Ids:
    entering, leaving = consume(found, inputs[0]), found.own(layer.kernel, -1)
    if layer.groups > 1:
        # A kernel stores one input axis for all its groups, so the same positions must live or die in every group.
        blocks = entering.reshape(layer.groups, -1)
        leaving_blocks = leaving.reshape(layer.groups, -1)
        for block, leaving_block in zip(blocks[1:], leaving_blocks[1:], strict=True):
            found.tie(blocks[0], block)
            found.tie(leaving_blocks[0], leaving_block)
        entering = blocks[0]
    found.own(layer.kernel, -2, entering)
    return _bias(found, layer, leaving)


def _conv_transpose(found: Propagation, layer: Any, inputs: Sequence[Channels], _: tuple[int | None, ...]) -> Ids:
    found.own(layer.kernel, -1, consume(found, inputs[0]))
    return _bias(found, layer, found.own(layer.kernel, -2))


def _depthwise(found: Propagation, layer: Any, inputs: Sequence[Channels], _: tuple[int | None, ...]) -> Ids:
    found.own(layer.kernel, 2, inputs[0].ids)
    return _bias(found, layer, np.repeat(inputs[0].ids, layer.depth_multiplier))


def _separable(found: Propagation, layer: Any, inputs: Sequence[Channels], _: tuple[int | None, ...]) -> Ids:
    found.own(layer.depthwise_kernel, 2, consume(found, inputs[0]))
    found.own(layer.pointwise_kernel, 2, np.repeat(inputs[0].ids, layer.depth_multiplier))
    return _bias(found, layer, found.own(layer.pointwise_kernel, 3))


def _dense(found: Propagation, layer: Any, inputs: Sequence[Channels], _: tuple[int | None, ...]) -> Ids:
    found.own(layer.kernel, 0, consume(found, inputs[0]))
    return _bias(found, layer, found.own(layer.kernel, 1))


def _batch_norm(found: Propagation, layer: Any, inputs: Sequence[Channels], _: tuple[int | None, ...]) -> Ids:
    if layer.axis not in (-1, len(inputs[0].shape) - 1):
        raise NotImplementedError("it normalizes an axis that is not the last")
    for variable in layer.weights:
        found.own(variable, 0, inputs[0].ids)
    if layer.scale:
        found.gammas.add(id(layer.gamma))
    return inputs[0].ids


def _normalization(found: Propagation, layer: Any, inputs: Sequence[Channels], _: tuple[int | None, ...]) -> Ids:
    # Its constants are not weights that could be narrowed; in practice it sits right behind the input.
    found.fix(inputs[0].ids, "a Normalization layer holds constants for it")
    return inputs[0].ids


def _prelu(found: Propagation, layer: Any, inputs: Sequence[Channels], _: tuple[int | None, ...]) -> Ids:
    return found.own(layer.alpha, -1, inputs[0].ids)


def _same(found: Propagation, layer: Any, inputs: Sequence[Channels], _: tuple[int | None, ...]) -> Ids:
    return inputs[0].ids


def _activation(found: Propagation, layer: Any, inputs: Sequence[Channels], _: tuple[int | None, ...]) -> Ids:
    if layer.activation in (keras.activations.softmax, keras.activations.log_softmax):
        raise NotImplementedError("a softmax couples its channels")
    return inputs[0].ids


def _broadcast(found: Propagation, inputs: Sequence[Channels]) -> Ids:
    """Ties the inputs of an element-wise merge; one that is a single broadcast channel must stay."""
    widest = max((tensor.ids for tensor in inputs), key=len)
    for tensor in inputs:
        if len(tensor.ids) == len(widest):
            found.tie(widest, tensor.ids)
        else:
            found.fix(tensor.ids, "it is broadcast over all channels of a merge")
    return widest


def _multiply(found: Propagation, layer: Any, inputs: Sequence[Channels], _: tuple[int | None, ...]) -> Ids:
    return _broadcast(found, inputs)


def _sum(found: Propagation, layer: Any, inputs: Sequence[Channels], _: tuple[int | None, ...]) -> Ids:
    if len(inputs) < 2:
        return inputs[0].ids  # `x + 1.0`: a constant, not a second branch.
    ids = _broadcast(found, inputs)
    found.stream.append(ids)
    return ids


def _concatenate(found: Propagation, layer: Any, inputs: Sequence[Channels], shape: tuple[int | None, ...]) -> Ids:
    if layer.axis in (-1, len(shape) - 1):
        return np.concatenate([tensor.ids for tensor in inputs])
    return _broadcast(found, inputs)


def _reshape(found: Propagation, layer: Any, inputs: Sequence[Channels], shape: tuple[int | None, ...]) -> Ids:
    """Channels survive a reshape if every index of the new last axis still belongs to one channel."""
    if inputs[0].shape[-1] == shape[-1]:
        return inputs[0].ids
    source = [size for size in inputs[0].shape[1:] if size is not None]
    if len(source) < len(inputs[0].shape) - 1 or shape[-1] is None:
        raise NotImplementedError("it mixes channels with positions of unknown extent")
    rows = np.broadcast_to(inputs[0].ids, source).reshape(-1, shape[-1])
    if (rows != rows[0]).any():
        raise NotImplementedError("it spreads channels over several axes")
    return rows[0]


RULES: dict[type, Rule] = {
    layers.Conv1D: _conv,
    layers.Conv2D: _conv,
    layers.Conv2DTranspose: _conv_transpose,
    layers.DepthwiseConv2D: _depthwise,
    layers.SeparableConv2D: _separable,
    layers.Dense: _dense,
    layers.BatchNormalization: _batch_norm,
    layers.Normalization: _normalization,
    layers.PReLU: _prelu,
    layers.Activation: _activation,
    layers.Multiply: _multiply,
    layers.Add: _sum,
    layers.Subtract: _sum,
    layers.Average: _sum,
    layers.Maximum: _sum,
    layers.Minimum: _sum,
    layers.Concatenate: _concatenate,
    layers.Flatten: _reshape,
    layers.Reshape: _reshape,
    **dict.fromkeys(
        (
            layers.ReLU,
            layers.LeakyReLU,
            layers.ELU,
            layers.Identity,
            layers.Rescaling,
            layers.Resizing,
            layers.ZeroPadding2D,
            layers.Cropping2D,
            layers.UpSampling2D,
            layers.MaxPooling2D,
            layers.AveragePooling2D,
            layers.GlobalMaxPooling2D,
            layers.GlobalAveragePooling2D,
            layers.Dropout,
            layers.SpatialDropout2D,
            layers.AlphaDropout,
            layers.GaussianDropout,
            layers.GaussianNoise,
            layers.ActivityRegularization,
        ),
        _same,
    ),
}

# `x + y` on Keras tensors records an operation, not a layer; Keras does not export these classes by a public name.
OPERATIONS: dict[str, Rule] = {
    "Add": _sum,
    "Subtract": _sum,
    "Maximum": _sum,
    "Minimum": _sum,
    "Multiply": _multiply,
    "Divide": _multiply,
    "TrueDivide": _multiply,
    "Relu": _same,
    "Relu6": _same,
    "Sigmoid": _same,
    "HardSigmoid": _same,
    "HardSilu": _same,
    "Silu": _same,
    "Tanh": _same,
}

_LINEAR = (
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv2DTranspose,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
    layers.Dense,
    layers.Add,
    layers.Subtract,
    layers.Average,
)
_NONLINEAR = (layers.ReLU, layers.LeakyReLU, layers.ELU, layers.PReLU)
_NONLINEAR_OPERATIONS = {"Relu", "Relu6", "Sigmoid", "HardSigmoid", "HardSilu", "Silu", "Tanh"}


def rule_for(operation: Any) -> Rule | None:
    """Returns the rule for a layer or operation, `None` where the library knows none."""
    if isinstance(operation, layers.Layer):
        # A subclass may compute anything, so only the class itself counts as known.
        return RULES.get(type(operation))
    return OPERATIONS.get(type(operation).__name__)


def is_activated(operation: Any, inputs: Sequence[Channels]) -> bool:
    """Returns whether what leaves an operation has passed a non-linearity since the last kernel or sum."""
    activation = getattr(operation, "activation", None)
    if activation is not None:
        return activation is not keras.activations.linear
    if isinstance(operation, _NONLINEAR) or type(operation).__name__ in _NONLINEAR_OPERATIONS:
        return True
    return not isinstance(operation, _LINEAR) and all(tensor.activated for tensor in inputs)
