from typing import Any

import keras
import pytest
from keras import layers

from ofar_tf.pruning.functional_model import check_functional, flat_layers


def _tensors() -> tuple[Any, Any]:
    inputs = keras.Input((8, 8, 3))
    return inputs, layers.Conv2D(4, 3)(inputs)


class _Named(keras.Model):
    """A functional model in a class of its own."""


class _Subclassed(keras.Model):
    def call(self, inputs: Any) -> Any:
        return inputs


def test_functional_models_are_accepted_in_any_class_without_a_call_of_its_own() -> None:
    check_functional(keras.Model(*_tensors()))
    check_functional(_Named(*_tensors()))


@pytest.mark.parametrize(
    ("model", "received"),
    [
        (lambda: _Subclassed(), "a _Subclassed"),
        (lambda: _Subclassed(*_tensors()), "a _Subclassed"),
        (lambda: keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3)]), "a Sequential"),
        (lambda: "mobilenet_v2", "a str"),
    ],
)
def test_other_models_are_refused(model: Any, received: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_functional(model())
    expected = "Expected a functional Keras model, made by keras.Model(inputs, outputs)."
    assert str(caught.value) == f"{expected} Received: {received}."


def test_channels_first_is_refused_by_the_name_of_the_layer_however_deep_it_lies() -> None:
    inputs = keras.Input((3, 8, 8))
    pooled = layers.MaxPooling2D(2, data_format="channels_first", name="pool")(inputs)
    outer = keras.Input((3, 8, 8))
    with pytest.raises(ValueError) as caught:
        check_functional(keras.Model(outer, keras.Model(inputs, pooled)(outer)))
    expected = "Expected layers with data_format='channels_last'."
    assert str(caught.value) == f"{expected} Received: MaxPooling2D 'pool' with 'channels_first'."


def test_layers_of_nested_models_follow_the_model_they_are_in() -> None:
    inputs, outputs = _tensors()
    outer = keras.Input((8, 8, 3), name="outer")
    inner = keras.Model(inputs, outputs, name="inner")
    model = keras.Model(outer, layers.ReLU(name="last")(inner(outer)))
    names = [layer.name for layer in flat_layers(model)]
    assert names == ["outer", "inner", *(layer.name for layer in inner.layers), "last"]
