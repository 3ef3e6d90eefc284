"""What is done to tensors in a graph of TensorFlow's gives, as operations of Keras', what it gives there."""

import importlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.models.functional_graph import graph_of
from ofar_tf.models.tensorflow_graph import run_in_tensorflow

# What programs mean by `from tensorflow.keras import backend as K`.
K = importlib.import_module("keras._tf_keras.keras.backend")
WEIGHTS = [tf.Variable(tf.ones(4))]


def _by_its_shape(x: Any) -> Any:
    _, height, width, channels = x.get_shape().as_list()
    assert x.shape.rank == K.ndim(x) == 4
    x = tf.reshape(x, [-1, height * width, channels // 2, 2])
    return K.reshape(K.permute_dimensions(x, (0, 1, 3, 2)), (K.shape(x)[0], height, width, channels))


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
    "by_its_shape": _by_its_shape,
    "moments": lambda x: tf.add_n([*tf.nn.moments(x, [1, 2], keepdims=True), K.std(x, axis=[1, 2], keepdims=True)]),
    "backend": lambda x: K.softmax(K.mean(x, axis=1), axis=1) + K.hard_sigmoid(K.relu(K.var(x, axis=2), max_value=6)),
    "backend_moves": lambda x: (
        K.repeat_elements(K.concatenate([x, x]), 2, axis=1)
        + K.resize_images(K.tile(x, [1, 1, 1, 2]), 2, 1, "channels_last")
    ),
    "backend_products": lambda x: K.batch_dot(K.mean(x, axis=1), K.dot(K.max(x, axis=2), tf.ones((4, 4))), axes=[2, 2]),
    "choices": lambda x: tf.where(x > 0.0, x, 0.1 * x) + K.switch(tf.less_equal(x, 1.0), x, tf.zeros_like(x)),
    "pieces_by_place": lambda x: x[:, ::2, 1, tf.newaxis] + tf.slice(x, [0, 0, 0, 0], [-1, 3, 1, 4])[..., :1],
    "turned": lambda x: tf.reverse(tf.roll(x, [1, -2], axis=[1, 2]), [2]) + tf.image.flip_left_right(x),
    "roots": lambda x: tf.norm(x, axis=-1, keepdims=True) + tf.math.squared_difference(x, 1 / (x * x + 1)),
    "other_pools": lambda x: tf.nn.avg_pool(x, 2, 2, "SAME") - tf.nn.max_pool(x, [1, 2, 2, 1], [1, 2, 2, 1], "VALID"),
    "numbers": lambda x: x * tf.cast(tf.shape(x)[1], x.dtype) + tf.cast(tf.range(4), x.dtype) + tf.ones_like(x),
    "pixels": lambda x: tf.nn.depth_to_space(tf.nn.space_to_depth(x, 2), block_size=2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_keras_tensors_take_the_operations_that_compute_the_same(name: str) -> None:
    values = np.random.default_rng(0).normal(size=(2, 6, 6, 4)).astype("float32")
    tensor = keras.Input((6, 6, 4))
    model = keras.Model(tensor, run_in_tensorflow(FUNCTIONS[name], [tensor], inside=[]))
    np.testing.assert_allclose(model(values), FUNCTIONS[name](tf.constant(values)), rtol=1e-5, atol=1e-6)


def test_what_needs_no_sizes_runs_at_any_size() -> None:
    def function(x: Any) -> Any:
        means = tf.reshape(K.mean(x, axis=[1, 2]), [tf.shape(x)[0], 1, 1, x.shape[-1]])
        return x * K.sigmoid(means) + K.max(x, axis=-1, keepdims=True)

    tensor = keras.Input((None, None, 4))
    model = keras.Model(tensor, run_in_tensorflow(function, [tensor], inside=[]))
    for size in (3, 5):
        values = np.random.default_rng(0).normal(size=(2, size, size, 4)).astype("float32")
        np.testing.assert_allclose(model(values), function(tf.constant(values)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "function",
    [
        tf.math.cumsum,
        tf.nn.local_response_normalization,
        lambda x: tf.image.resize(x, (3, 3), antialias=True),
        lambda x: tf.nn.dropout(x, 0.5),
        lambda x: x + tf.random.normal([4]),
        lambda x: tf.reshape(x, [-1, tf.shape(x)[1] * 6, 4]),
        lambda x: x + WEIGHTS[0],
    ],
)
def test_what_has_no_such_operation_is_refused(function: Callable[[Any], Any]) -> None:
    with pytest.raises(NotImplementedError):
        run_in_tensorflow(function, [keras.Input((None, 6, 4))], inside=[])


def test_layers_inside_stay_calls_as_they_were_written() -> None:
    norm, noise = keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)
    block = keras.Sequential([keras.layers.Conv2D(4, 1), keras.layers.ReLU()])
    tensor = keras.Input((6, 6, 4))

    def called(x: Any) -> Any:
        return noise(norm(block(x), training=False)), noise(x, training=True)

    def told(outputs: Any) -> list[str]:
        calls = graph_of(keras.Model(tensor, outputs)).calls
        return sorted(str((each.operation, each.kwargs)) for each in calls if each.operation in (norm, noise, block))

    def function(x: Any) -> Any:
        _, height, width, channels = x.get_shape().as_list()
        y, z = called(x)
        return {"a": tf.reshape(y, [-1, height * width, channels]), "b": z}

    expected = told(called(tensor))
    assert told(run_in_tensorflow(function, [tensor], inside=[norm, noise, block])) == expected
    assert type(norm) is keras.layers.BatchNormalization
