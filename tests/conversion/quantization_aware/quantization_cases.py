"""What the tests of quantization-aware training want to know, found in one process of its own and printed as JSON.

tensorflow-model-optimization changes its whole process, and takes seconds to import: `python quantization_cases.py`.
"""

import gc
import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from ofar_tf.conversion.quantization_aware.fine_tuning import FineTuning
from ofar_tf.conversion.quantization_aware.folded_network import fold
from ofar_tf.conversion.quantization_aware.legacy_network import build, build_quantized
from ofar_tf.conversion.quantization_aware.worker import check_twin, convert
from ofar_tf.models import registry
from ofar_tf.models.functional_graph import flat_layers
from ofar_tf.tflite.file_graph import read_graph

layers = keras.layers
NETWORKS: dict[str, dict[str, Any]] = {
    "mobilenet_v2": {"width_multiplier": 0.1},
    "resnet8": {"width_multiplier": 0.5},
    "vgg16": {"width_multiplier": 0.125},
    "wide_resnet_10_1": {},
}


def classifier(image: Any, logits: Any, *, seed: int = 0) -> keras.Model:
    """Ends a network in a softmax; gives it uneven scales, the statistics of images, and logits that differ by 1."""
    random = np.random.default_rng(seed)
    body, batch = keras.Model(image, logits), images(image.shape[1]).astype(np.float32)
    for weight in body.weights:
        if len(weight.shape) == 1 and weight.name != "moving_variance":
            gamma = weight.name == "gamma"
            weight.assign(random.uniform(0.5, 1.5, weight.shape) if gamma else random.normal(0, 0.3, weight.shape))
    for layer in flat_layers(body):
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    body(batch, training=True)
    kernel, bias = body.weights[-2:]
    kernel.assign(random.normal(0, 1.0, kernel.shape))
    kernel.assign(np.asarray(kernel) / np.asarray(body(batch, training=False)).std(0))
    bias.assign(np.asarray(bias) - np.asarray(body(batch, training=False)).mean(0))
    return keras.Model(image, layers.Softmax()(logits))


def built_in(name: str) -> keras.Model:
    """A built-in network, nested in the model that ends in a softmax."""
    image = keras.Input((16, 16, 3))
    return classifier(image, registry.build(name, classes=3, small_images=True, **NETWORKS[name])(image))


def odd_network() -> keras.Model:
    """Every kind of layer that the built-in networks lack."""
    image = keras.Input((16, 16, 3))
    normalization = layers.Normalization(mean=[100.0, 120.0, 90.0], variance=[50.0**2, 60.0**2, 70.0**2])
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu6")(normalization(image))
    x = layers.SeparableConv2D(8, 3, padding="same", depth_multiplier=2)(x)
    x = layers.LeakyReLU(0.1)(layers.BatchNormalization(scale=False)(x))
    squeezed = layers.GlobalAveragePooling2D(keepdims=True)(x)
    squeezed = layers.Conv2D(8, 1, activation="sigmoid")(layers.Conv2D(4, 1, activation="silu")(squeezed))
    x = layers.Multiply()([x, squeezed])
    y = layers.Conv2D(16, 3, groups=8, dilation_rate=2, padding="same", activation="tanh")(x)
    x = layers.Concatenate()([layers.Dropout(0.5)(x), y])
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(((0, 1), (1, 0)))(x))
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(center=False)(x)
    x = layers.BatchNormalization()(layers.ReLU()(layers.Add()([x, x + x, x])))
    x = layers.AveragePooling2D(2)(layers.Cropping2D(((0, 0), (1, 1)))(x))
    x = layers.BatchNormalization()(layers.Dense(8)(layers.Flatten()(x)))
    x = layers.Reshape((8,))(layers.Activation("leaky_relu")(x))
    return classifier(image, layers.Dense(3)(x))


def gated_network() -> keras.Model:
    """A block of MobileNetV3 as Keras writes it, a gate of vectors, and hard-swish and hard-sigmoid by hand."""
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(layers.Rescaling(1 / 127.5, offset=-1)(image))
    x = shortcut = layers.Activation("hard_swish")(layers.BatchNormalization()(x))
    x = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x))
    x = layers.Activation("hard_swish")(x)
    squeezed = layers.ReLU()(layers.Conv2D(8, 1)(layers.GlobalAveragePooling2D(keepdims=True)(x)))
    gate = layers.ReLU(6.0)(layers.Conv2D(8, 1)(squeezed) + 3.0) * (1.0 / 6.0)
    x = layers.Conv2D(8, 1)(layers.Multiply()([x, gate]))
    x = layers.Add()([shortcut, layers.BatchNormalization()(x)])
    x = x * keras.ops.relu6(x + 3.0) / 6.0
    gate = layers.Dense(8, activation="hard_sigmoid")(layers.GlobalAveragePooling2D()(x))
    x = layers.GlobalAveragePooling2D()(layers.Multiply()([x, 2.0 - layers.Reshape((1, 1, 8))(gate)]))
    x = layers.Dense(8, activation="hard_swish")(layers.BatchNormalization()(x))
    return classifier(image, layers.Dense(3)(x))


def rounded_network() -> keras.Model:
    """Small, and with channels of such different sizes that 8 bits are felt."""
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, strides=2)(layers.Rescaling(1 / 127.5, offset=-1)(image))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.BatchNormalization(name="norm")(x)))
    model = classifier(image, layers.Dense(3)(x))
    norm, sizes = model.get_layer("norm"), np.geomspace(1, 100, 8)
    norm.set_weights([weight * sizes if index < 2 else weight for index, weight in enumerate(norm.get_weights())])
    kernel = model.layers[-2].kernel
    kernel.assign(np.asarray(kernel) / sizes[:, np.newaxis])
    return model


def images(size: int, *, count: int = 32, seed: int = 1) -> np.ndarray:
    """Each with a colour of its own and some noise."""
    random = np.random.default_rng(seed)
    colours = random.uniform(20, 235, (count, 1, 1, 3))
    return np.clip(colours + random.normal(0, 25, (count, size, size, 3)), 0, 255).astype(np.uint8)


def twin_facts(model: keras.Model) -> dict[str, float | str]:
    size = model.input_shape[1]
    noise = images(size, count=8)
    steps, expected = fold(model), np.asarray(model(noise.astype(np.float32), training=False))
    logits = build(steps, shape=(size, size, 3))(noise.astype(np.float32), training=False)
    # Where all images have the same scores, equality says nothing.
    return {
        "in_float64": message_of(lambda: check_twin(steps, model, noise)),
        "in_float32": float(np.abs(keras.ops.softmax(np.asarray(logits)) - expected).max()),
        "spread": float(expected.std(0).max()),
    }


def message_of(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except ValueError as error:
        return str(error)
    return "no error"


def tensor_types(content: bytes) -> dict[str, int]:
    interpreter = Interpreter(model_content=content)
    types = [np.dtype(tensor["dtype"]).name for tensor in interpreter.get_tensor_details()]
    return {name: types.count(name) for name in sorted(set(types))}


def weights(content: bytes) -> list[list[int]]:
    """The stored kernels and biases; the files as a whole differ in the names that TensorFlow numbers through."""
    buffers = flatbuffer_utils.read_model_from_bytearray(bytearray(content)).buffers
    return sorted(buffer.data.tolist() for buffer in buffers if buffer.data is not None and len(buffer.data))


def scores(content: bytes, batch: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=content)
    run = interpreter.get_signature_runner("serve")
    return np.concatenate([run(image=image[np.newaxis])["probabilities"] for image in batch]) / 256


def foretold(model: keras.Model, batch: np.ndarray) -> np.ndarray:
    """The scores of the network that rounds as its file will, with ranges as they are measured."""
    rounded = build_quantized(fold(model), shape=batch.shape[1:])
    rounded(batch.astype(np.float32), training=True)
    return np.asarray(keras.ops.softmax(np.asarray(rounded(batch.astype(np.float32), training=False))))


def file_facts(model: keras.Model, *, tells: bool = False) -> dict[str, Any]:
    batch = images(model.input_shape[1])
    content = convert(model, images=batch, fine_tuning=FineTuning(epochs=0))
    expected = np.asarray(model(batch.astype(np.float32), training=False))
    return {
        "foretold": float(np.abs(scores(content, batch) - foretold(model, batch)).mean()) if tells else None,
        "operators": read_graph(content).operators,
        "types": tensor_types(content),
        "difference": float(np.abs(scores(content, batch) - expected).mean()),
    }


def learning_facts() -> dict[str, Any]:
    model, batch = rounded_network(), images(8, count=64)
    expected = np.asarray(model(batch.astype(np.float32), training=False))
    settings = {
        "untaught": FineTuning(epochs=0),
        "taught": FineTuning(epochs=10, learning_rate=1e-3, batch_size=8),
        "again": FineTuning(epochs=10, learning_rate=1e-3, batch_size=8),
        "other_seed": FineTuning(epochs=10, learning_rate=1e-3, batch_size=8, seed=1),
    }
    contents = {name: convert(model, images=batch, fine_tuning=setting) for name, setting in settings.items()}
    return {
        "differences": {name: float(np.abs(scores(c, batch) - expected).mean()) for name, c in contents.items()},
        "repeats": weights(contents["taught"]) == weights(contents["again"]),
        "depends_on_seed": weights(contents["taught"]) != weights(contents["other_seed"]),
    }


def messages() -> dict[str, str]:
    model, batch = rounded_network(), images(8)
    steps, bias = fold(model), model.layers[-2].bias
    bias.assign(np.asarray(bias) + np.array([0.0, 0.0, 1e-4]))
    return {
        "twin": message_of(lambda: check_twin(steps, model, batch)),
        "images": message_of(lambda: convert(model, images=images(16), fine_tuning=FineTuning())),
    }


if __name__ == "__main__":
    gc.set_threshold(100_000, 50, 100)  # As in commands.
    keras.utils.set_random_seed(0)
    odd, gated = odd_network(), gated_network()
    facts = {
        "twins": {name: twin_facts(built_in(name)) for name in NETWORKS}
        | {"odd": twin_facts(odd), "gated": twin_facts(gated)},
        "files": {
            "odd": file_facts(odd, tells=True),
            "gated": file_facts(gated, tells=True),
            "wide_resnet": file_facts(built_in("wide_resnet_10_1")),
        },
        "learning": learning_facts(),
        "messages": messages(),
    }
    print(json.dumps(facts))
