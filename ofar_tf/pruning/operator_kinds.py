"""Which operators a converted network runs, told from its graph: what the converter folds and fuses is none.

BatchNorm is folded into the kernel before it, a ReLU is fused into a kernel or a sum before it, and what only training
needs is left out. It is a model of the converter to predict time by, and need not be right about every file.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import keras

from ofar_tf.models.functional_graph import GraphCall

layers = keras.layers

POINTWISE, CONVOLUTION, GROUPED, DEPTHWISE, TRANSPOSED, DENSE = KERNELS = (
    "pointwise",
    "convolution",
    "grouped",
    "depthwise",
    "transposed",
    "dense",
)
"""Operators with a kernel."""

_FREE = (
    *(layers.Dropout, layers.AlphaDropout, layers.GaussianDropout, layers.GaussianNoise),
    *(layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D),
    *(layers.Identity, layers.ActivityRegularization, layers.Reshape, layers.Flatten),
)
_FREE_OPERATIONS = ("Reshape", "ExpandDims", "Squeeze", "Identity")
_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D)
_SUMS = (layers.Add, layers.Subtract, layers.Multiply)
_SUM_OPERATIONS = ("Add", "Subtract", "Multiply")


def operator_kinds(calls: Sequence[GraphCall]) -> list[str | None]:
    """Names the operator that each call of a graph becomes.

    Args:
        calls: The calls of `ChannelGroups.calls`.

    Returns:
        For each call one of `KERNELS`, or the name of the layer in small letters (of an activation, its function's);
        None where no operator is left. A `SeparableConv2D` is two operators, `depthwise` and `pointwise`: here it is
        the latter.
    """
    readers = Counter(id(tensor) for call in calls for tensor in call.tensors)
    after_kernel: set[int] = set()
    after_sum: set[int] = set()
    kinds = []
    for call in calls:
        source = next((id(tensor) for tensor in call.tensors), 0)
        alone = readers[source] == 1
        is_folded = alone and source in after_kernel
        kind = _kind(call.operation, folds=is_folded, fuses=alone and source in after_kernel | after_sum)
        outputs = {id(tensor) for tensor in keras.tree.flatten(call.outputs)}
        if kind in KERNELS and not _bends(call.operation):
            after_kernel |= outputs
        elif kind is None and not _is_relu(call.operation):
            after_kernel |= outputs if is_folded else set()
        elif isinstance(call.operation, _SUMS) or type(call.operation).__name__ in _SUM_OPERATIONS:
            after_sum |= outputs
        kinds.append(kind)
    return kinds


def _kind(operation: Any, *, folds: bool, fuses: bool) -> str | None:
    kernel = _kernel_kind(operation)
    if kernel:
        return kernel
    function = getattr(operation, "activation", None)
    is_linear = isinstance(operation, layers.Activation) and function is keras.activations.linear
    if is_linear or isinstance(operation, _FREE) or type(operation).__name__ in _FREE_OPERATIONS:
        return None
    if isinstance(operation, layers.BatchNormalization) and folds:
        return None
    if _is_relu(operation):
        return None if fuses else "relu"
    if isinstance(operation, layers.Activation):
        return str(getattr(function, "__name__", type(function).__name__)).lower()
    return type(operation).__name__.lower()


def _kernel_kind(operation: Any) -> str | None:
    kind = type(operation)
    if kind is layers.Dense:
        return DENSE
    if kind is layers.Conv2DTranspose:
        return TRANSPOSED
    if kind is layers.DepthwiseConv2D:
        return DEPTHWISE
    if kind is layers.SeparableConv2D:
        return POINTWISE
    if kind not in _CONVOLUTIONS:
        return None
    if operation.groups > 1:
        return DEPTHWISE if operation.kernel.shape[-2] == 1 else GROUPED
    return POINTWISE if set(operation.kernel_size) == {1} else CONVOLUTION


def _bends(operation: Any) -> bool:
    return getattr(operation, "activation", keras.activations.linear) is not keras.activations.linear


def _is_relu(operation: Any) -> bool:
    if isinstance(operation, layers.ReLU):
        return not operation.negative_slope and not operation.threshold
    if isinstance(operation, layers.Activation):
        return operation.activation in (keras.activations.relu, keras.activations.relu6)
    return type(operation).__name__ in ("Relu", "Relu6")
