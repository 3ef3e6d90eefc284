"""Whatever a supernet was built of, one level of float32 layers that computes the same comes out."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from ofar_tf.models.functional_graph import inner_layers, is_functional
from ofar_tf.models.user_model import as_supernet

IMAGE = (None, None, 3)


@keras.saving.register_keras_serializable("test_flattening")
class Block(layers.Layer):
    """A layer that holds others, which take their number format from it or from nobody."""

    def __init__(self, filters: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = filters
        self.conv, self.norm = layers.Conv2D(filters, 3, padding="same"), layers.BatchNormalization()

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return ops.relu(self.norm(self.conv(inputs), training=training))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters}


def body(name: str, **arguments: Any) -> keras.Model:
    image = keras.Input(IMAGE)
    x = layers.Conv2D(4, 3, padding="same", name="conv")(image)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))
    return keras.Model(image, x, name=name, **arguments)


def top(image: Any, x: Any) -> keras.Model:
    return keras.Model(image, layers.Dense(5, name="logits")(layers.GlobalAveragePooling2D()(x)), name="net")


def scaled_input() -> tuple[Any, Any]:
    image = keras.Input(IMAGE, name="image")
    return image, layers.Rescaling(1 / 255)(image)


def behind_a_layer() -> keras.Model:
    image, x = scaled_input()
    return top(image, body("base")(x))


def nested_in_nested() -> keras.Model:
    image, x = scaled_input()
    middle = keras.Sequential([keras.Input(IMAGE), body("inner"), layers.Dropout(0.5)], name="middle")
    return top(image, middle(x))


def called_twice() -> keras.Model:
    image, x = scaled_input()
    base = body("base")
    return top(image, base(x) - base(layers.Rescaling(2.0)(x)))


def equal_names() -> keras.Model:
    image, x = scaled_input()
    return top(image, layers.Concatenate()([body("first")(x), body("second")(x)]))


def several_tensors() -> keras.Model:
    a, b = keras.Input(IMAGE, name="a"), keras.Input(IMAGE, name="b")
    pair = keras.Model({"a": a, "b": b}, {"sum": layers.Conv2D(4, 1)(a) + b[..., :1], "same": b * 1.0})
    image, x = scaled_input()
    outputs = pair({"b": x, "a": image})
    return top(image, outputs["sum"] * layers.Conv2D(4, 1)(outputs["same"]))


def told_not_to_train() -> keras.Model:
    image, x = scaled_input()
    return top(image, body("base")(x, training=False))


def sequential_with_a_model() -> keras.Model:
    return keras.Sequential([keras.Input(IMAGE), body("base"), layers.GlobalAveragePooling2D(), layers.Dense(5)])


def bytes_in() -> keras.Model:
    image = keras.Input(IMAGE, dtype="uint8")
    return top(image, body("base")(layers.Rescaling(1 / 255)(image)))


def of_formats() -> keras.Model:
    image, x = scaled_input()
    x = ops.cast(body("base")(x), "float16") * 0.5
    return top(image, Block(6)(layers.SpectralNormalization(layers.Conv2D(4, 1))(x)))


def drawn(model: keras.Model) -> keras.Model:
    random = np.random.default_rng(0)
    for weight in model.weights:
        positive = weight.name in ("gamma", "moving_variance")
        value = random.uniform(0.5, 1.5, weight.shape) if positive else random.normal(0, 0.4, weight.shape)
        weight.assign(value.astype("float32"))
    return model


def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, 8, 8, 3)).astype("float32")


def outputs(model: keras.Model) -> np.ndarray:
    return np.asarray(model(images(), training=False), "float64")


NESTED = [
    behind_a_layer,
    nested_in_nested,
    called_twice,
    equal_names,
    several_tensors,
    told_not_to_train,
    sequential_with_a_model,
    bytes_in,
]


@pytest.mark.parametrize("build", NESTED)
def test_a_nested_model_is_opened_and_computes_the_same(build: Callable[[], keras.Model]) -> None:
    model = drawn(build())
    flat = as_supernet(model, reference="it")
    assert not any(is_functional(layer) for layer in flat.layers)
    assert flat.name == model.name
    assert flat.inputs[0].dtype == "float32"
    np.testing.assert_allclose(outputs(flat), outputs(model), rtol=1e-5, atol=1e-6)
    assert as_supernet(flat, reference="it") is flat


def test_layers_keep_their_names_and_variables_and_only_a_name_that_is_taken_is_changed() -> None:
    model = equal_names()
    flat = as_supernet(model, reference="it")
    assert {"conv", "norm", "relu", "second_conv", "second_norm", "second_relu"} <= {each.name for each in flat.layers}
    own = {id(variable) for variable in model.variables}
    assert {each.path for each in flat.weights if id(each) not in own} == {
        "second_conv/kernel",
        "second_conv/bias",
        "second_norm/gamma",
        "second_norm/beta",
        "second_norm/moving_mean",
        "second_norm/moving_variance",
    }


def test_a_nested_model_that_was_told_not_to_train_trains_as_keras_does() -> None:
    model = drawn(told_not_to_train())
    flat = as_supernet(model, reference="it")
    for training in (None, True):  # Keras 3.15 heeds it only where the whole model is told nothing.
        statistics = [np.asarray(each) for each in model.non_trainable_variables]
        expected = np.asarray(model(images(), training=training))
        for variable, value in zip(model.non_trainable_variables, statistics, strict=True):
            variable.assign(value)
        np.testing.assert_allclose(flat(images(), training=training), expected, rtol=1e-5, atol=1e-6)


def test_frozen_layers_stay_frozen() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = equal_names()
    finally:
        keras.config.set_dtype_policy("float32")
    model.get_layer("second").trainable = False
    flat = as_supernet(model, reference="it")
    assert [each.path for each in flat.trainable_variables] == [
        *("conv/kernel", "conv/bias", "norm/gamma", "norm/beta"),
        *("logits/kernel", "logits/bias"),
    ]


@pytest.fixture
def settings() -> Iterator[None]:
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16", "float16", "float64"])
def test_whatever_the_policy_every_layer_and_weight_becomes_float32(policy: str, settings: None) -> None:
    keras.config.set_floatx(keras.DTypePolicy(policy).variable_dtype)
    keras.config.set_dtype_policy(policy)
    model = drawn(of_formats())
    flat = as_supernet(model, reference="it")  # The policy is still in force.
    assert {each.compute_dtype for each in inner_layers(flat)[1:]} == {"float32"}
    assert {each.dtype for each in flat.weights} == {"float32"}
    assert {each.dtype for each in (*flat.inputs, *flat.outputs)} == {"float32"}
    assert not any(type(each).__name__ == "Cast" for each in flat.operations)
    assert keras.config.dtype_policy().name == policy
    np.testing.assert_allclose(outputs(flat), outputs(model), rtol=0.05, atol=0.05 * np.abs(outputs(model)).max())


@pytest.mark.parametrize(
    "number", [np.sqrt(16), np.float16(0.5), np.full((1, 1, 1, 3), 0.5), tf.constant(2.0, "float64")]
)
def test_numbers_of_other_formats_become_float32(number: Any) -> None:
    image, x = scaled_input()
    model = drawn(top(image, ops.add(x, layers.Conv2D(3, 1)(x) / number)))
    flat = as_supernet(model, reference="it")
    assert {tensor.dtype for each in flat.operations for tensor in keras.tree.flatten(each.output)} == {"float32"}
    assert as_supernet(flat, reference="it") is flat
    np.testing.assert_allclose(outputs(flat), outputs(model), rtol=1e-5)


def test_a_layer_that_insists_on_another_format_is_refused_in_one_line() -> None:
    class Stubborn(layers.Layer):
        def __init__(self, **kwargs: Any):
            super().__init__(**{**kwargs, "dtype": "bfloat16"})
            self.scale = self.add_weight(shape=(1,), initializer="ones")

        def call(self, inputs: Any) -> Any:
            return inputs * ops.cumsum(self.scale)

    image, x = scaled_input()
    message = r"^Expected a model that can be made to compute in float32\. Received: it, layer 'odd'.*bfloat16\.$"
    with pytest.raises(ValueError, match=message):
        as_supernet(top(image, Stubborn(name="odd")(x)), reference="it")


def test_a_layer_that_cannot_be_copied_is_named_in_one_line() -> None:
    class Positional(layers.Layer):
        def __init__(self, factor: Any, **kwargs: Any):
            super().__init__(**kwargs)
            self.factor = factor
            self.scale = self.add_weight(shape=(1,), initializer="ones")

        def call(self, inputs: Any) -> Any:
            return inputs * self.factor * ops.cumsum(self.scale)

    image, x = scaled_input()
    model = top(image, Positional(np.float32(2.0), name="odd", dtype="mixed_bfloat16")(x))
    with pytest.raises(ValueError, match=r"Expected layers that can be copied .* Received: it, layer 'odd'") as error:
        as_supernet(model, reference="it")
    assert "\n" not in str(error.value)


def test_a_quantized_model_is_refused() -> None:
    model = behind_a_layer()
    model.get_layer("logits").quantize("int8")
    with pytest.raises(ValueError, match=r"^Expected a model of floating point weights\. Received: it, whose layer '"):
        as_supernet(model, reference="it")


def test_names_that_tensorflow_cannot_use_are_changed_and_the_rest_stays() -> None:
    image = keras.Input(IMAGE, name="Bild 1")
    x = layers.Conv2D(4, 3, name="block one")(image)
    x = layers.Conv2D(4, 3, name="block_one")(layers.ReLU(name="für")(x))
    x = layers.GlobalAveragePooling2D(name="_pool")(x)
    model = drawn(keras.Model(image, layers.Dense(5, name="logits")(x), name="my net"))
    flat = as_supernet(model, reference="it")
    assert flat.name == "my_net"
    names = ["Bild_1", "block_one", "f_r", "block_one_2", "layer_pool", "logits"]
    assert [layer.name for layer in flat.layers] == names
    run = tf.function(lambda x: flat.stateless_call(flat.trainable_variables, flat.non_trainable_variables, x)[0])
    np.testing.assert_allclose(run(images()), outputs(model), rtol=1e-5, atol=1e-5)
    assert as_supernet(flat, reference="it") is flat
