"""What each kind of Keras layer is made of, for networks that run in 8-bit integers: one reader per kind."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from ofar_tf.models.training_graphs import is_idle

KERNELS = ("Conv2D", "DepthwiseConv2D", "Dense")
"""The kinds of steps that have weights: a kernel and a bias."""

AFFINE = "Affine"
"""The kind of a step that scales and shifts each channel: scale and offset for kernel and bias."""

_DROPPED = ("Identity", "ActivityRegularization")
_STOCK: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Add", "Multiply", "Flatten"), ()),
    "Concatenate": ("axis",),
    **dict.fromkeys(("MaxPooling2D", "AveragePooling2D"), ("pool_size", "strides", "padding")),
    **dict.fromkeys(("GlobalMaxPooling2D", "GlobalAveragePooling2D"), ("keepdims",)),
    "ZeroPadding2D": ("padding",),
    "Cropping2D": ("cropping",),
    "Reshape": ("target_shape",),
}
_CONSTANT = ("Rescaling", "Normalization")
_OPERATIONS = ("Add", "Multiply", "Concatenate")
_FUNCTIONS = {
    name.title().replace("_", ""): getattr(keras.activations, name)
    for name in ("relu", "relu6", "sigmoid", "tanh", "silu", "hard_silu", "hard_sigmoid")
}
# What scales and shifts in `x + 3` and its like, by the class and by whether the tensor comes first.
_WITH_A_NUMBER: dict[tuple[str, bool], Callable[[Any], tuple[Any, Any]]] = {
    **dict.fromkeys((("Add", True), ("Add", False)), lambda number: (1.0, number)),
    **dict.fromkeys((("Multiply", True), ("Multiply", False)), lambda number: (number, 0.0)),
    **dict.fromkeys((("Divide", True), ("TrueDivide", True)), lambda number: (1.0 / number, 0.0)),
    ("Subtract", True): lambda number: (1.0, -number),
    ("Subtract", False): lambda number: (-1.0, number),
}


@dataclass(frozen=True, eq=False)
class Step:
    """One operation of the network.

    Attributes:
        name: The name of the layer that it comes from.
        kind: The name of a layer class of Keras 2.
        inputs: What it reads: 0 is the image, k + 1 what step k gives.
        options: Arguments of that class.
        weights: Kernel and bias, float32 or float64; none for kinds that are not `KERNELS`.
        constant: Whether the weights are not the network's own but those of its input's normalization or numbers in a
            formula: a learning rate that suits kernels would upset them.
    """

    name: str
    kind: str
    inputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: tuple[np.ndarray, ...] = ()
    constant: bool = False


def read_operation(
    operation: Any, *, shape: tuple[int | None, ...], output_shape: tuple[int | None, ...]
) -> Iterator[Step]:
    """Reads a layer or Keras operation as steps, each of which reads what the one before it gives.

    Args:
        operation: The layer, or what `x + y` leaves in a graph.
        shape: Of its first input.
        output_shape: Of what it gives.

    Yields:
        Steps whose `inputs` are still empty; none where nothing is done at inference.

    Raises:
        ValueError: If it cannot be run in 8-bit integers.
    """
    kind = type(operation).__name__
    is_layer = isinstance(operation, keras.layers.Layer)
    if not type(operation).__module__.startswith("keras.src.") or not (is_layer or kind in (*_OPERATIONS, *_FUNCTIONS)):
        raise refusal(operation)
    if getattr(operation, "data_format", None) == "channels_first":
        raise refusal(operation, "whose channels come first")
    if kind in _KERNEL_READERS:
        for kernel_kind, options, kernel, bias in _KERNEL_READERS[kind](operation, shape):
            yield Step(operation.name, kernel_kind, (), options, (kernel, bias), constant=kind in _CONSTANT)
    elif kind in _STOCK:
        yield Step(operation.name, kind, (), {name: getattr(operation, name) for name in _STOCK[kind]})
    elif kind not in (*_DROPPED, *_ACTIVATION_LAYERS, *_FUNCTIONS) and not is_idle(operation, shape, output_shape):
        raise refusal(operation)
    yield from _read_activation(operation, kind, output_shape)


def read_arithmetic(operation: Any, operands: Sequence[Any]) -> Step:
    """Reads an operation of a tensor and a number, as in `x + 3` or `x / 6`, or a number for each channel.

    Args:
        operation: What the expression leaves in a graph.
        operands: Its tensors and numbers, in order; weights that scale or shift are arrays of one image.

    Returns:
        A step whose `inputs` are still empty: it reads the tensor.

    Raises:
        ValueError: If it is not of one tensor and such numbers, or does not scale or shift.
    """
    tensors = [operand for operand in operands if keras.backend.is_keras_tensor(operand)]
    others = [operand for operand in operands if not keras.backend.is_keras_tensor(operand)]
    meaning = _WITH_A_NUMBER.get((type(operation).__name__, keras.backend.is_keras_tensor(operands[0])))
    if len(tensors) != 1 or len(others) != 1 or meaning is None or not _is_by_channel(others[0], tensors[0].shape):
        raise refusal(operation, "which combines a tensor with constants")
    numbers = np.asarray(others[0], np.float64)
    is_formula = numbers.ndim == 0
    return _affine_step(operation.name, *meaning(numbers.ravel()), shape=tensors[0].shape, constant=is_formula)


def _is_by_channel(numbers: Any, shape: tuple[int | None, ...]) -> bool:
    """Returns whether there is one number in all or one for each channel, which is the last axis."""
    own = np.shape(numbers) or (1,)
    return len(own) <= len(shape) and np.size(numbers) == own[-1] and own[-1] in (1, shape[-1])


def refusal(operation: Any, why: str = "") -> ValueError:
    """Makes the error for an operation that cannot be run in 8-bit integers.

    Args:
        operation: The layer or operation.
        why: What about it is not supported, where its kind is; begins with `which` or `whose`.

    Returns:
        The error, to be raised.
    """
    title = f"{type(operation).__name__} {operation.name!r}"
    return ValueError(
        "Expected layers that quantization-aware training can run in 8-bit integers. "
        f"Received: {title}{', ' if why else ''}{why}."
    )


_Kernel = tuple[str, dict[str, Any], np.ndarray, np.ndarray]


def _read_conv(layer: Any, shape: tuple[int | None, ...]) -> Iterator[_Kernel]:
    kernel, bias = np.asarray(layer.kernel), _bias(layer)
    if layer.groups == 1:
        yield "Conv2D", {"kernel_size": layer.kernel_size, "filters": layer.filters, **_window(layer)}, kernel, bias
    elif layer.groups == shape[-1]:
        by_channel = kernel.reshape(*layer.kernel_size, layer.groups, -1)
        yield "DepthwiseConv2D", _depthwise_options(layer, by_channel), by_channel, bias
    else:
        raise refusal(layer, f"whose channels are in {layer.groups} groups")


def _read_depthwise(layer: Any, shape: tuple[int | None, ...]) -> Iterator[_Kernel]:
    kernel = np.asarray(layer.kernel)
    yield "DepthwiseConv2D", _depthwise_options(layer, kernel), kernel, _bias(layer)


def _read_separable(layer: Any, shape: tuple[int | None, ...]) -> Iterator[_Kernel]:
    depthwise, pointwise = np.asarray(layer.depthwise_kernel), np.asarray(layer.pointwise_kernel)
    no_bias = np.zeros(depthwise.shape[2] * depthwise.shape[3], np.float32)
    yield "DepthwiseConv2D", _depthwise_options(layer, depthwise), depthwise, no_bias
    yield "Conv2D", {"kernel_size": 1, "filters": layer.filters}, pointwise, _bias(layer)


def _read_dense(layer: Any, shape: tuple[int | None, ...]) -> Iterator[_Kernel]:
    if len(shape) != 2:
        raise refusal(layer, f"whose input has the shape {shape}")
    yield "Dense", {"units": layer.units}, np.asarray(layer.kernel), _bias(layer)


def _read_batch_norm(layer: Any, shape: tuple[int | None, ...]) -> Iterator[_Kernel]:
    if layer.axis not in (-1, len(shape) - 1):
        raise refusal(layer, "whose axis is not the last")
    channels = int(shape[-1] or 0)
    gamma = np.asarray(layer.gamma, np.float64) if layer.scale else np.ones(channels)
    beta = np.asarray(layer.beta, np.float64) if layer.center else np.zeros(channels)
    scale = gamma / np.sqrt(np.asarray(layer.moving_variance, np.float64) + layer.epsilon)
    yield _affine(scale, beta - np.asarray(layer.moving_mean, np.float64) * scale, shape)


def _read_rescaling(layer: Any, shape: tuple[int | None, ...]) -> Iterator[_Kernel]:
    # Keras rounds these to float32 whatever it computes in.
    yield _affine(np.float32(layer.scale), np.float32(layer.offset), shape)


def _read_normalization(layer: Any, shape: tuple[int | None, ...]) -> Iterator[_Kernel]:
    if layer.invert or np.size(layer.mean) not in (1, shape[-1]):
        raise refusal(layer, "which is inverted or does not normalize each channel")
    deviation = np.maximum(np.sqrt(np.ravel(np.asarray(layer.variance, np.float64))), keras.config.epsilon())
    yield _affine(1 / deviation, -np.ravel(np.asarray(layer.mean, np.float64)) / deviation, shape)


def _affine(scale: Any, offset: Any, shape: tuple[int | None, ...]) -> _Kernel:
    channels = int(shape[-1] or 0)
    full = [np.broadcast_to(np.asarray(value, np.float64), [channels]) for value in (scale, offset)]
    return AFFINE, {"rank": len(shape)}, full[0], full[1]


_KERNEL_READERS = {
    "Conv2D": _read_conv,
    "DepthwiseConv2D": _read_depthwise,
    "SeparableConv2D": _read_separable,
    "Dense": _read_dense,
    "BatchNormalization": _read_batch_norm,
    "Rescaling": _read_rescaling,
    "Normalization": _read_normalization,
}


def _window(layer: Any) -> dict[str, Any]:
    return {"strides": layer.strides, "padding": layer.padding, "dilation_rate": layer.dilation_rate}


def _depthwise_options(layer: Any, kernel: np.ndarray) -> dict[str, Any]:
    return {"kernel_size": layer.kernel_size, "depth_multiplier": kernel.shape[3], **_window(layer)}


def _bias(layer: Any) -> np.ndarray:
    if layer.use_bias:
        return np.asarray(layer.bias)
    width = layer.units if hasattr(layer, "units") else getattr(layer, "filters", None)
    return np.zeros(width or layer.kernel.shape[2] * layer.kernel.shape[3], np.float32)


def _affine_step(name: str, scale: Any, offset: Any, *, shape: tuple[int | None, ...], constant: bool = True) -> Step:
    kind, options, *weights = _affine(scale, offset, shape)
    return Step(name, kind, (), options, (weights[0], weights[1]), constant=constant)


_ACTIVATION_LAYERS = ("Activation", "ReLU", "LeakyReLU", "Softmax")
_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("ReLU", {}),
    "relu6": ("ReLU", {"max_value": 6.0}),
    "leaky_relu": ("LeakyReLU", {"alpha": 0.2}),
    **{name: ("Activation", {"activation": name}) for name in ("sigmoid", "tanh", "silu", "softmax", "hard_silu")},
}


def _read_activation(operation: Any, kind: str, shape: tuple[int | None, ...]) -> Iterator[Step]:
    if kind == "ReLU":
        # Fixed ceilings other than 6, and thresholds, have no TFLite operator.
        if (
            operation.threshold
            or operation.max_value not in (None, 6)
            or (operation.negative_slope and operation.max_value)
        ):
            raise refusal(operation, "which is neither ReLU nor ReLU6 nor LeakyReLU")
        chosen, options = _ACTIVATIONS["relu6" if operation.max_value else "relu"]
        if operation.negative_slope:
            chosen, options = "LeakyReLU", {"alpha": float(operation.negative_slope)}
    elif kind == "LeakyReLU":
        chosen, options = "LeakyReLU", {"alpha": float(operation.negative_slope)}
    elif kind == "Softmax":
        chosen, options = _ACTIVATIONS["softmax"]
    else:
        function = _FUNCTIONS.get(kind, getattr(operation, "activation", None))
        if function in (None, keras.activations.linear):
            return
        if function is keras.activations.hard_sigmoid:  # TFLite has none: relu6(x + 3) / 6, as the converter takes it.
            yield _affine_step(operation.name, 1.0, 3.0, shape=shape)
            yield Step(operation.name, "ReLU", (), {"max_value": 6.0})
            yield _affine_step(operation.name, 1.0 / 6.0, 0.0, shape=shape)
            return
        known = {getattr(keras.activations, name): value for name, value in _ACTIVATIONS.items()}
        if function not in known:
            raise refusal(operation, f"whose activation is {getattr(function, '__name__', function)}")
        chosen, options = known[function]
    yield Step(operation.name, chosen, (), options)
