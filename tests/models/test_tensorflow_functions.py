"""Each function of TensorFlow's that is known gives, as an operation of Keras', what it gives by itself."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.models.tensorflow_functions import as_operations

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    **{
        name: getattr(tf.nn, name)
        for name in ("relu", "relu6", "elu", "selu", "softplus", "softsign", "silu", "swish", "gelu", "leaky_relu")
    },
    **{name: getattr(tf.math, name) for name in ("sigmoid", "tanh", "exp", "square", "abs", "negative", "erf", "sign")},
    "softmax": tf.nn.softmax,
    "softmax_of_rows": lambda x: tf.nn.softmax(x, axis=1),
    "root": lambda x: tf.sqrt(tf.square(x)) + tf.math.rsqrt(tf.exp(x)) + tf.math.log(tf.exp(x)),
    "named": lambda x: tf.nn.relu(x, name="named"),
    "arithmetic": lambda x: tf.add(x, tf.multiply(x, 2.0)) / tf.subtract(tf.math.divide(x, 2.0), 5.0),
    "extremes": lambda x: tf.maximum(tf.minimum(x, 0.5), -0.5) + tf.clip_by_value(x, 0.0, 1.0) + tf.pow(x, 2.0),
    "reductions": lambda x: tf.reduce_mean(x, [1, 2], keepdims=True) * tf.reduce_sum(x, axis=-1, keepdims=True),
    "reductions_of_axes": lambda x: tf.reduce_max(x, axis=[1, 2]) - tf.reduce_min(x, axis=[1, 2]),
    "of_length_one": lambda x: tf.nn.l2_normalize(x, axis=-1) + tf.math.reduce_variance(x, axis=1, keepdims=True),
    "repeated": lambda x: tf.repeat(tf.tile(x, [1, 2, 1, 1]), 2, axis=-1),
    "gathered": lambda x: tf.gather(x, [3, 0, 0], axis=-1),
    "pieces": lambda x: tf.concat([*tf.split(x, 2, axis=-1), *tf.split(x, [1, 3], axis=-1)][::-1], axis=-1),
    "stacked": lambda x: tf.stack(tf.unstack(x, axis=-1)[:2], axis=1),
    "reshaped": lambda x: tf.transpose(tf.reshape(x, [-1, 6, 6, 2, 2]), perm=[0, 1, 2, 4, 3]),
    "reshaped_by_its_shape": lambda x: tf.reshape(x, [-1, tf.shape(x)[1] * 6, x.shape[-1]]),
    "axes": lambda x: tf.squeeze(tf.expand_dims(x, axis=1), axis=1),
    "copied": lambda x: tf.cast(tf.identity(x), tf.float32),
    "sum_of_many": lambda x: tf.add_n([x, x, tf.abs(x)]),
    "resized": lambda x: tf.image.resize(x, [3, 9]),
    "resized_by_neighbours": lambda x: tf.image.resize(x, (3, 9), method="nearest"),
    "padded": lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]]),
    "mirrored": lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], mode="REFLECT"),
    "pooled": lambda x: tf.nn.max_pool2d(x, 2, 2, "SAME") + tf.nn.avg_pool2d(x, 2, strides=2, padding="VALID"),
    "pooled_by_four_sizes": lambda x: tf.nn.max_pool2d(x, ksize=[1, 3, 3, 1], strides=[1, 2, 2, 1], padding="SAME"),
    "matrix_products": lambda x: tf.matmul(x, x, transpose_a=True) + tf.einsum("bhwc,bhwd -> bhcd", x, x),
    "pixels": lambda x: tf.nn.depth_to_space(tf.nn.space_to_depth(x, 2), block_size=2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_symbolic_tensors_take_the_operation_that_computes_the_same(name: str) -> None:
    values = np.random.default_rng(0).normal(size=(2, 6, 6, 4)).astype("float32")
    tensor = keras.Input((6, 6, 4))
    with as_operations():
        model = keras.Model(tensor, FUNCTIONS[name](tensor))
    np.testing.assert_allclose(model(values), FUNCTIONS[name](tf.constant(values)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "function",
    [tf.math.cumsum, lambda x: tf.image.resize(x, (3, 3), antialias=True)],
)
def test_what_has_no_such_operation_is_refused_as_it_was(function: Callable[[Any], Any]) -> None:
    with as_operations(), pytest.raises((ValueError, TypeError)):
        function(keras.Input((6, 6, 4)))
