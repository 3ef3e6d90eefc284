"""The operators of TensorFlow's graphs, each as an operation of Keras' that computes the same."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

ops = keras.ops

BATCH = 1009
"""How many images graphs are made for: TensorFlow then knows all sizes, and no other size is this prime."""


def operation_for(operator: Any, inputs: Sequence[Any]) -> Sequence[Any]:
    """Applies the operation of Keras' that computes what an operator does.

    Args:
        operator: An operator in a graph that is made for `BATCH` images.
        inputs: What stands for its inputs: Keras tensors, or numbers and arrays. Of a reshape the first alone; what
            GELU is of.

    Returns:
        What stands for its outputs.

    Raises:
        NotImplementedError: If Keras has no such operation, or not for these numbers.
    """
    kind = operator.type
    if kind in ("Identity", "IdentityN"):
        return list(inputs)
    if is_gelu(operator):
        return [ops.gelu(inputs[0], approximate=False)]
    if kind in FUNCTIONS:
        return [getattr(ops, FUNCTIONS[kind])(*inputs)]
    if kind in REDUCTIONS:
        axes = tuple(int(axis) for axis in np.atleast_1d(inputs[1]))
        return [getattr(ops, REDUCTIONS[kind])(inputs[0], axis=axes, keepdims=operator.get_attr("keep_dims"))]
    if kind not in _OPERATORS:
        raise NotImplementedError(kind)
    outputs = _OPERATORS[kind](operator, *inputs)
    return outputs if isinstance(outputs, (list, tuple)) else [outputs]


def is_gelu(operator: Any) -> bool:
    """Returns whether an operator is the last of `0.5 * x * erfc(-x / sqrt(2))`, which converters know as a whole."""
    return operator.type == "Mul" and operator.inputs[1].op.type == "Erfc" and operator.inputs[0].op.type == "Mul"


def _sizes(operator: Any) -> tuple[int, ...]:
    sizes = list(operator.outputs[0].shape)
    if None in sizes or sizes[0] % BATCH:
        raise NotImplementedError(f"{operator.type} to sizes that are known when it runs")
    return (-1, *sizes[1:])


def _integers(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in np.ravel(values))


def _axis_and_values(operator: Any, *inputs: Any) -> Any:
    return ops.concatenate(list(inputs[:-1]), axis=int(inputs[-1]))


def _unstacked(operator: Any, value: Any) -> Any:
    return ops.unstack(value, operator.get_attr("num"), axis=operator.get_attr("axis"))


def _split(operator: Any, value: Any, sizes: Any, axis: Any) -> Any:
    return ops.split(value, _integers(np.cumsum(sizes)[:-1]), axis=int(axis))


def item(operator: Any, begin: Any, end: Any, strides: Any) -> tuple[Any, ...]:
    """Returns what stands in the brackets of a slice; masks say in bits which entries are no numbers from and to.

    Args:
        operator: A `StridedSlice`.
        begin: Its numbers, as those that follow.
        end: See there.
        strides: See there.
    """

    def has(mask: str, position: int) -> bool:
        return bool(operator.get_attr(f"{mask}_mask") >> position & 1)

    entries: list[Any] = []
    for position, limits in enumerate(zip(_integers(begin), _integers(end), _integers(strides), strict=True)):
        if has("ellipsis", position):
            entries.append(Ellipsis)
        elif has("new_axis", position):
            entries.append(None)
        elif has("shrink_axis", position):
            entries.append(limits[0])
        else:
            first = None if has("begin", position) else limits[0]
            last = None if has("end", position) or (position == 0 and limits[1] == BATCH) else limits[1]
            entries.append(slice(first, last, limits[2]))
    return tuple(entries)


def _box(operator: Any, value: Any, begin: Any, size: Any) -> Any:
    limits = [
        (first, None if length in (-1, BATCH) else first + length)
        for first, length in zip(_integers(begin), _integers(size), strict=True)
    ]
    return value[tuple(slice(*each) for each in limits)]


def _taken(operator: Any, value: Any, indices: Any, axis: Any) -> Any:
    if operator.get_attr("batch_dims") or isinstance(indices, keras.KerasTensor):
        raise NotImplementedError("GatherV2 of what a tensor says")
    return ops.take(value, np.asarray(indices).tolist(), axis=int(axis))


def _padded(operator: Any, value: Any, widths: Any, number: Any = 0.0) -> Any:
    pairs = tuple((int(before), int(after)) for before, after in widths)
    mode = operator.get_attr("mode").decode().lower() if operator.type == "MirrorPad" else "constant"
    return ops.pad(value, pairs, mode, **({"constant_values": number} if number else {}))


def _product(operator: Any, one: Any, other: Any) -> Any:
    names = ("transpose_a", "transpose_b") if operator.type == "MatMul" else ("adj_x", "adj_y")
    turned = [
        ops.swapaxes(x, -1, -2) if operator.get_attr(name) else x for x, name in zip((one, other), names, strict=True)
    ]
    return ops.matmul(*turned)


def _pool(function: Callable[..., Any]) -> Callable[..., Any]:
    def pooled(operator: Any, value: Any) -> Any:
        sizes, steps = operator.get_attr("ksize"), operator.get_attr("strides")
        if operator.get_attr("data_format") != b"NHWC" or sizes[0] != 1 or sizes[3] != 1:
            raise NotImplementedError(f"{operator.type} over channels")
        padding = operator.get_attr("padding").decode().lower()
        return function(value, tuple(sizes[1:3]), strides=tuple(steps[1:3]), padding=padding)

    return pooled


def _depthwise(operator: Any, value: Any, kernel: Any) -> Any:
    padding, steps = operator.get_attr("padding").decode().lower(), operator.get_attr("strides")
    is_known = operator.get_attr("data_format") == b"NHWC" and padding in ("same", "valid")
    if not is_known or isinstance(kernel, keras.KerasTensor):
        raise NotImplementedError("DepthwiseConv2dNative with a kernel that is computed, or borders")
    dilation = tuple(operator.get_attr("dilations")[1:3])
    return ops.depthwise_conv(value, kernel, strides=tuple(steps[1:3]), padding=padding, dilation_rate=dilation)


def _resized(interpolation: str) -> Callable[..., Any]:
    def resized(operator: Any, value: Any, size: Any) -> Any:
        if operator.get_attr("align_corners") or not operator.get_attr("half_pixel_centers"):
            raise NotImplementedError(f"{operator.type} of corners")
        return ops.image.resize(value, _integers(size), interpolation=interpolation)

    return resized


FUNCTIONS = {
    **{kind: kind.lower() for kind in ("Relu", "Relu6", "Elu", "Selu", "Softplus", "Softsign", "Sigmoid", "Tanh")},
    **{kind: kind.lower() for kind in ("Exp", "Log", "Log1p", "Expm1", "Sqrt", "Rsqrt", "Square", "Abs", "Sign")},
    **{kind: kind.lower() for kind in ("Erf", "Sin", "Cos", "Floor", "Ceil", "Round", "Softmax", "Reciprocal")},
    **{kind: kind.lower() for kind in ("Maximum", "Minimum", "Greater", "Less", "Equal")},
    **{"Neg": "negative", "LogSoftmax": "log_softmax", "StopGradient": "stop_gradient"},
    **{"ZerosLike": "zeros_like", "OnesLike": "ones_like", "SelectV2": "where"},
    **{"AddV2": "add", "Add": "add", "BiasAdd": "add", "Sub": "subtract", "Mul": "multiply", "Pow": "power"},
    **{"RealDiv": "divide", "DivNoNan": "divide_no_nan", "GreaterEqual": "greater_equal", "LessEqual": "less_equal"},
}
REDUCTIONS = {"Mean": "mean", "Sum": "sum", "Max": "max", "Min": "min", "Prod": "prod"}
ELEMENTWISE = ("Identity", "Cast", "LeakyRelu", "SquaredDifference", *FUNCTIONS)
_OPERATORS: dict[str, Callable[..., Any]] = {
    "AddN": lambda operator, *inputs: sum(inputs[1:], inputs[0]),
    "SquaredDifference": lambda operator, one, other: ops.square(ops.subtract(one, other)),
    "LeakyRelu": lambda operator, value: ops.leaky_relu(value, operator.get_attr("alpha")),
    "Cast": lambda operator, value: ops.cast(value, operator.get_attr("DstT").name),
    "Reshape": lambda operator, value: ops.reshape(value, _sizes(operator)),
    "Transpose": lambda operator, value, order: ops.transpose(value, _integers(order)),
    "ExpandDims": lambda operator, value, axis: ops.expand_dims(value, int(axis)),
    "Squeeze": lambda operator, value: ops.squeeze(value, tuple(operator.get_attr("squeeze_dims")) or None),
    "ConcatV2": _axis_and_values,
    "Pack": lambda operator, *inputs: ops.stack(list(inputs), axis=operator.get_attr("axis")),
    "Unpack": _unstacked,
    "Split": lambda operator, axis, value: ops.split(value, operator.get_attr("num_split"), axis=int(axis)),
    "SplitV": _split,
    "StridedSlice": lambda operator, value, *limits: value[item(operator, *limits)],
    "Slice": _box,
    "GatherV2": _taken,
    "Tile": lambda operator, value, times: ops.tile(value, _integers(times)),
    "Pad": _padded,
    "PadV2": _padded,
    "MirrorPad": _padded,
    "ReverseV2": lambda operator, value, axes: ops.flip(value, _integers(axes)),
    "Roll": lambda operator, value, shift, axes: ops.roll(value, _integers(shift), _integers(axes)),
    "SpaceToDepth": lambda operator, value: ops.nn.space_to_depth(value, operator.get_attr("block_size")),
    "DepthToSpace": lambda operator, value: ops.nn.depth_to_space(value, operator.get_attr("block_size")),
    "MatMul": _product,
    "BatchMatMulV2": _product,
    "BatchMatMulV3": _product,
    "Einsum": lambda operator, *inputs: ops.einsum(operator.get_attr("equation").decode(), *inputs),
    "DepthwiseConv2dNative": _depthwise,
    "MaxPool": _pool(ops.max_pool),
    "AvgPool": _pool(ops.average_pool),
    "ResizeBilinear": _resized("bilinear"),
    "ResizeNearestNeighbor": _resized("nearest"),
}
