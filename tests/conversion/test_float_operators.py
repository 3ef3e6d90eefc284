"""Files of rounded networks give what the networks give, where rounding each operator would ruin it."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from ofar_tf.conversion.converter import convert
from ofar_tf.tflite.file_graph import operator_names
from ofar_tf.tflite.network_file import TFLiteNetwork

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3)).astype(np.float32)


def centred(x):
    return x - ops.mean(x, axis=-1, keepdims=True)


BRANCHES = {
    "softplus": ops.softplus,
    "mish": lambda x: x * ops.tanh(ops.log(1 + ops.exp(x))),
    "celu": ops.celu,
    "selu": lambda x: ops.where(x > 0, x, ops.exp(x) - 1),
    "prelu": lambda x: ops.maximum(x, 0) + 0.25 * ops.minimum(x, 0),
    "deviation": lambda x: centred(x) / (ops.std(x, axis=-1, keepdims=True) + 1e-3),
    "length": lambda x: x / (ops.norm(x, axis=-1, keepdims=True) + 1e-6),
    "mean_square": lambda x: x / ops.sqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-6),
    "layer_norm": layers.LayerNormalization(epsilon=1e-6),
    "group_norm": layers.GroupNormalization(2),
    "hard_silu": ops.hard_silu,
    "elu": ops.elu,
    "squared": lambda x: ops.square(ops.relu(x)),
}


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """Many branches, each behind a convolution: some of its vectors are long, some nearly nothing."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    dark = layers.Rescaling(1 / 255)(image) ** 2
    kernels = {
        name: layers.Conv2D(8, 1, kernel_initializer=keras.initializers.RandomNormal(stddev=6.0), name=f"conv_{name}")
        for name in BRANCHES
    }
    return keras.Model(image, {name: branch(kernels[name](dark)) for name, branch in BRANCHES.items()})


@pytest.mark.parametrize(("precision", "accepted"), [("int8_float_io", 0.1), ("int16x8", 0.02)])
def test_a_rounded_file_is_near_to_its_network(precision, accepted, network, tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(convert(network, precision=precision, representative_images=IMAGES))
    given, expected = TFLiteNetwork(path).run(IMAGES), network(IMAGES, training=False)
    off = {name: np.std(given[name] - expected[name]) / np.std(expected[name]) for name in BRANCHES}
    assert {name: round(float(each), 4) for name, each in off.items() if not each < accepted} == {}


def test_only_what_rounding_ruins_stays_in_floats():
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="softplus")(layers.Rescaling(1 / 255)(image))
    x = layers.Conv2D(4, 3, activation="relu")(x)
    gate = layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    model = keras.Model(image, layers.Softmax()(layers.Flatten()(layers.MaxPooling2D()(x * gate))))
    names = operator_names(convert(model, precision="int8", representative_images=IMAGES))
    first, last = names.index("DEQUANTIZE"), names.index("QUANTIZE", 1)
    assert names[first - 1 : last] == ["CONV_2D", "DEQUANTIZE", "EXP", "ADD", "LOG"]
    assert "DEQUANTIZE" not in names[last:]
