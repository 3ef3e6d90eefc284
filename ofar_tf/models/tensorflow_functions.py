"""Functions of TensorFlow's as the operations of Keras' that compute the same, for code that mixes the two.

`tf.nn.relu(x)` refuses a symbolic tensor of Keras'. Where a layer of the user's is opened, it is told here what to make
of it: TensorFlow asks whoever is registered before it gives up.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

ops = keras.ops


def _named(name: str) -> Callable[..., Any]:
    """A function of one or two tensors that Keras calls as TensorFlow does."""
    function = getattr(ops, name)
    return lambda *args, **kwargs: function(*args, *(value for key, value in kwargs.items() if key != "name"))


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda input_tensor, axis=None, keepdims=False, name=None: function(
        input_tensor, axis=axis, keepdims=keepdims
    )


def _reshape(tensor: Any, shape: Any, name: Any = None) -> Any:
    return ops.reshape(tensor, tuple(None if size is None else int(size) for size in shape))


def _shape(input: Any, out_type: Any = None, name: Any = None) -> Any:
    return ops.shape(input)


def _split(value: Any, num_or_size_splits: Any, axis: int = 0, num: Any = None, name: Any = None) -> Any:
    if isinstance(num_or_size_splits, int):
        return ops.split(value, num_or_size_splits, axis=axis)
    limits = [sum(num_or_size_splits[:count]) for count in range(1, len(num_or_size_splits))]
    return ops.split(value, limits, axis=axis)


def _resized(images: Any, size: Any, method: str = "bilinear", **others: Any) -> Any:
    if any(others.get(name) for name in ("preserve_aspect_ratio", "antialias")):
        raise ValueError(others)
    return ops.image.resize(images, tuple(size), interpolation=method)


def _padded(tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0, name: Any = None) -> Any:
    widths = tuple((int(before), int(after)) for before, after in paddings)
    return ops.pad(tensor, widths, mode.lower(), **({"constant_values": constant_values} if constant_values else {}))


def _normalized(x: Any, axis: Any = None, epsilon: float = 1e-12, name: Any = None) -> Any:
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=axis, keepdims=True), epsilon))


def _gathered(params: Any, indices: Any, axis: Any = None, **others: Any) -> Any:
    if others.get("batch_dims") or isinstance(indices, keras.KerasTensor):
        raise ValueError(others)
    return ops.take(params, np.asarray(indices).tolist(), axis=0 if axis is None else axis)


def _pool(function: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
    def pooled(input: Any, ksize: Any, strides: Any, padding: str, data_format: Any = "NHWC", name: Any = None) -> Any:
        if data_format != "NHWC":
            raise ValueError(data_format)
        return function(input, _sides(ksize), strides=_sides(strides), padding=padding.lower(), **fixed)

    return pooled


def _matrix_product(
    a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, *others: Any, name: Any = None, **more: Any
) -> Any:
    if any((*others, *more.values())):
        raise ValueError(others)
    one, other = (ops.swapaxes(x, -1, -2) if flag else x for x, flag in ((a, transpose_a), (b, transpose_b)))
    return ops.matmul(one, other)


def _sides(sizes: Any) -> Any:
    return tuple(sizes[1:3]) if isinstance(sizes, (tuple, list)) and len(sizes) == 4 else sizes


_FUNCTIONS: list[tuple[Any, Callable[..., Any]]] = [
    *(
        (getattr(module, name), _named(keras_name))
        for module, name, keras_name in (
            *((tf.nn, name, name) for name in ("relu", "relu6", "elu", "selu", "softplus", "softsign", "silu")),
            *((tf.math, name, name) for name in ("sigmoid", "tanh", "exp", "log", "sqrt", "rsqrt", "square", "abs")),
            *((tf.math, name, name) for name in ("add", "subtract", "multiply", "maximum", "minimum", "negative")),
            *((tf.math, name, name) for name in ("divide", "sign", "erf", "sin", "cos")),
            (tf.math, "pow", "power"),
        )
    ),
    (tf.nn.gelu, lambda features, approximate=False, name=None: ops.gelu(features, approximate)),
    (tf.nn.leaky_relu, lambda features, alpha=0.2, name=None: ops.leaky_relu(features, alpha)),
    (tf.nn.softmax, lambda logits, axis=None, name=None: ops.softmax(logits, axis=-1 if axis is None else axis)),
    (tf.clip_by_value, lambda t, low, high, name=None: ops.clip(t, low, high)),
    (tf.math.reduce_mean, _reduction(ops.mean)),
    (tf.math.reduce_sum, _reduction(ops.sum)),
    (tf.math.reduce_max, _reduction(ops.max)),
    (tf.math.reduce_min, _reduction(ops.min)),
    (tf.math.reduce_variance, _reduction(ops.var)),
    (tf.math.l2_normalize, _normalized),
    (tf.linalg.matmul, _matrix_product),
    (tf.einsum, lambda equation, *inputs, **others: ops.einsum(equation.replace(" ", ""), *inputs)),
    (tf.tile, lambda input, multiples, name=None: ops.tile(input, tuple(int(times) for times in multiples))),
    (tf.repeat, lambda input, repeats, axis=None, name=None: ops.repeat(input, repeats, axis=axis)),
    (tf.gather, lambda params, indices, validate_indices=None, **others: _gathered(params, indices, **others)),
    (tf.concat, lambda values, axis, name=None: ops.concatenate(values, axis=axis)),
    (tf.stack, lambda values, axis=0, name=None: ops.stack(values, axis=axis)),
    (tf.unstack, lambda value, num=None, axis=0, name=None: ops.unstack(value, num, axis=axis)),
    (tf.split, _split),
    (tf.reshape, _reshape),
    (tf.shape, _shape),
    (tf.transpose, lambda a, perm=None, conjugate=False, name=None: ops.transpose(a, perm)),
    (tf.expand_dims, lambda input, axis, name=None: ops.expand_dims(input, axis)),
    (tf.squeeze, lambda input, axis=None, name=None: ops.squeeze(input, axis)),
    (tf.identity, lambda input, name=None: ops.copy(input)),
    (tf.cast, lambda x, dtype, name=None: ops.cast(x, tf.as_dtype(dtype).name)),
    (tf.math.add_n, lambda inputs, name=None: sum(inputs[1:], inputs[0])),
    (tf.image.resize, _resized),
    (tf.pad, _padded),
    (tf.nn.max_pool2d, _pool(ops.max_pool)),
    (tf.nn.avg_pool2d, _pool(ops.average_pool)),
    (
        tf.nn.space_to_depth,
        lambda input, block_size, data_format="NHWC", name=None: ops.nn.space_to_depth(input, block_size),
    ),
    (
        tf.nn.depth_to_space,
        lambda input, block_size, data_format="NHWC", name=None: ops.nn.depth_to_space(input, block_size),
    ),
]


def _layers_of(function: Any) -> Iterator[Any]:
    """Yields a function of TensorFlow's and those that it is wrapped around: it says of one of them who is called."""
    while function is not None:
        yield function
        function = getattr(function, "__wrapped__", None)


_BY_FUNCTION = {id(each): operation for function, operation in _FUNCTIONS for each in _layers_of(function)}


class _Operations(tf.__internal__.dispatch.GlobalOpDispatcher):
    """Answers for symbolic tensors of Keras' while `as_operations` is entered in the same thread."""

    def __init__(self) -> None:
        self.entered = threading.local()

    def handle(self, op: Any, args: Any, kwargs: Any) -> Any:
        if not getattr(self.entered, "count", 0) or id(op) not in _BY_FUNCTION:
            return self.NOT_SUPPORTED
        if not any(isinstance(leaf, keras.KerasTensor) for leaf in keras.tree.flatten((args, kwargs))):
            return self.NOT_SUPPORTED
        return _BY_FUNCTION[id(op)](*args, **kwargs)


_OPERATIONS = _Operations()
_OPERATIONS.register()


@contextlib.contextmanager
def as_operations() -> Iterator[None]:
    """Lets functions of TensorFlow's take symbolic tensors of Keras', as the operations that compute the same."""
    _OPERATIONS.entered.count = getattr(_OPERATIONS.entered, "count", 0) + 1
    try:
        yield
    finally:
        _OPERATIONS.entered.count -= 1
