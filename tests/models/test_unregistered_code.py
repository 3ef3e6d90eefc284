"""What nobody registered is found by its name, and is never taken for something of Keras."""

from typing import Any

import keras
import pytest
import tensorflow as tf

from ofar_tf.models.layer_copy import copy_of
from ofar_tf.models.unregistered_code import make_known, unregistered


def gelu(x: Any) -> Any:
    """Not what Keras calls so."""
    return x * keras.ops.sigmoid(1.702 * x)


def cubed(x: Any) -> Any:
    return x * x * x


class Halved(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return 0.5 * x


@keras.saving.register_keras_serializable(package="known")
class Registered(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return x


def network(*layers: keras.layers.Layer) -> keras.Model:
    image = x = keras.Input((None, None, 3))
    for layer in layers:
        x = layer(x)
    return keras.Model(image, x)


def test_of_a_network_only_what_keras_does_not_know_is_found() -> None:
    inner = network(Halved(), keras.layers.Conv2D(3, 1, activation=cubed))
    nameless = keras.layers.Activation(lambda x: x)
    assert unregistered(network(inner, Registered(), nameless, keras.layers.Activation("gelu"))) == {
        "Halved": Halved,
        "cubed": cubed,
    }


@pytest.mark.parametrize("function", [gelu, cubed])
def test_a_layer_is_copied_with_the_function_that_it_has_whatever_the_function_is_called(function: Any) -> None:
    layer = keras.layers.Activation(function)
    make_known(unregistered(network(layer)))
    assert copy_of(layer).activation is function
    # A run's later processes find it again, so it is still to be told.
    assert unregistered(network(layer)) == {function.__name__: function}


def test_what_keras_calls_by_the_same_name_stays_its_own() -> None:
    make_known(unregistered(network(keras.layers.Activation(gelu))))
    assert copy_of(keras.layers.Activation("gelu")).activation is keras.activations.gelu


@pytest.mark.parametrize(
    ("function", "known"), [(tf.nn.relu, keras.activations.relu), (tf.nn.silu, keras.activations.silu)]
)
def test_functions_of_tensorflow_are_those_of_keras_in_every_process(function: Any, known: Any) -> None:
    layer = keras.layers.Activation(function)
    assert unregistered(network(layer)) == {}
    assert copy_of(layer).activation is known
