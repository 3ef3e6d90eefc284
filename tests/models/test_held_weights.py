"""Weights that a class of the user's uses itself become those of layers of Keras', with the same numbers."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from ofar_tf.models.functional_graph import is_stock
from ofar_tf.models.opening import obstacle
from ofar_tf.models.user_model import as_classifier
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.slicing import mask_array
from ofar_tf.pruning.subnet import extract_subnet

SIZE, CHANNELS = 8, 6


class Block(layers.Layer):
    """A convolution with a norm, and something that is done with a weight."""

    shape: tuple[int, ...] = (CHANNELS,)

    def __init__(self, **settings: Any):
        super().__init__()
        self.conv, self.norm = layers.Conv2D(CHANNELS, 3, padding="same"), layers.BatchNormalization()
        self.own = self.add_weight(shape=self.shape, initializer="zeros", name="own", **settings)

    def call(self, x: Any, training: bool = False) -> Any:
        return self.used(self.norm(self.conv(x), training=training), x)

    def used(self, y: Any, x: Any) -> Any:
        raise NotImplementedError


class LayerScale(Block):
    def used(self, y: Any, x: Any) -> Any:
        return x + self.own * y


class OfOneImage(Block):
    shape = (1, 1, 1, CHANNELS)

    def used(self, y: Any, x: Any) -> Any:
        return tf.nn.relu(tf.multiply(y, self.own) + x)


class Bias(Block):
    def used(self, y: Any, x: Any) -> Any:
        return tf.nn.relu(tf.nn.bias_add(y, self.own))


class ReZero(Block):
    shape = ()

    def used(self, y: Any, x: Any) -> Any:
        return x + y * self.own


class Temperature(Block):
    """Of two heads, each the half of the channels."""

    shape = (2, 1, 1)

    def used(self, y: Any, x: Any) -> Any:
        heads = ops.transpose(ops.reshape(y, (-1, SIZE * SIZE, 2, CHANNELS // 2)), (0, 2, 1, 3))
        shares = ops.softmax(ops.matmul(heads, ops.transpose(heads, (0, 1, 3, 2))) * ops.exp(self.own), axis=-1)
        given = ops.transpose(ops.matmul(shares, heads), (0, 2, 1, 3))
        return x + ops.reshape(given, (-1, SIZE, SIZE, CHANNELS))


class Positions(Block):
    shape = (SIZE, SIZE, CHANNELS)

    def used(self, y: Any, x: Any) -> Any:
        return y + self.own


class Tokens(Block):
    shape = (1, SIZE * SIZE, CHANNELS)

    def used(self, y: Any, x: Any) -> Any:
        tokens = tf.reshape(y, [-1, SIZE * SIZE, CHANNELS]) + self.own
        return tf.reshape(tokens, [-1, SIZE, SIZE, CHANNELS])


class Fusion(Block):
    """As BiFPN weighs what it adds."""

    shape = (2,)

    def used(self, y: Any, x: Any) -> Any:
        shares = tf.nn.relu(self.own) + 0.1
        shares = shares / (tf.reduce_sum(shares) + 1e-4)
        return shares[0] * x + shares[1] * y


class Turned(Block):
    """Its channels come first."""

    shape = (CHANNELS, 1, 1)

    def used(self, y: Any, x: Any) -> Any:
        return y * tf.sigmoid(tf.transpose(self.own, [1, 2, 0])[None])


class Taken(Block):
    shape = (2, CHANNELS)

    def used(self, y: Any, x: Any) -> Any:
        return y * (1.0 + self.own[1]) + ops.take(self.own, [0], axis=0)


HELD: tuple[type[Block], ...] = (
    *(LayerScale, OfOneImage, Bias, ReZero, Temperature),
    *(Positions, Tokens, Fusion, Turned, Taken),
)


def images() -> Any:
    return np.random.default_rng(0).uniform(0, 255, (3, SIZE, SIZE, 3)).astype("float32")


def network(*blocks: Any) -> keras.Model:
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(CHANNELS, 1)(layers.Rescaling(1 / 127.5, -1.0)(image))
    for block in blocks:
        x = block(x)
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(5, 3)(x)))
    return randomized(keras.Model(image, layers.Dense(3)(layers.GlobalMaxPooling2D()(x))))


def randomized(model: keras.Model) -> keras.Model:
    random = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(random.uniform(0.5, 1.5, weight.shape) if len(weight.shape) < 4 else weight)
    return model


@pytest.mark.parametrize("kind", HELD)
def test_what_a_class_does_with_a_weight_is_done_with_that_of_a_layer(kind: type[Block], tmp_path: Path) -> None:
    model = network(kind(), kind())
    flat = as_classifier(model, reference="it")
    assert all(map(is_stock, flat.layers))
    np.testing.assert_array_equal(flat(images()), model(images()))
    before, others = ({id(weight) for weight in each.weights} for each in (model, flat))
    assert len(before) == len(others) and len(before - others) == (2 if kind.shape == () else 0)
    groups = find_channel_groups(flat, prune_residual_stream=True)
    assert groups.size >= 5 + CHANNELS // 2
    mask = ChannelMask(groups.groups, np.arange(groups.size) % 3 > 0)
    assert Costs(groups).macs(mask, SIZE) < Costs(groups).macs(ChannelMask.full(groups), SIZE)
    masked, narrow = keras.models.clone_model(flat), extract_subnet(flat, groups, mask)
    for weight, whole, entry in zip(masked.weights, flat.weights, groups.weights, strict=True):
        weight.assign(mask_array(np.asarray(whole), entry, mask))
    np.testing.assert_allclose(narrow(images()), masked(images()), rtol=1e-5, atol=1e-5)
    narrow.save(tmp_path / "it.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "it.keras")(images()), narrow(images()))


def test_what_a_weight_is_told_of_training_stays() -> None:
    settings = {"regularizer": keras.regularizers.L2(0.5), "constraint": keras.constraints.NonNeg()}
    flat = as_classifier(network(LayerScale(trainable=False), LayerScale(**settings)), reference="it")
    frozen, trained = (layer for layer in flat.layers if isinstance(layer, layers.PReLU))
    assert not frozen.trainable_weights and flat.losses == [0.5 * ops.sum(trained.alpha**2)]
    again = keras.models.clone_model(flat)
    assert len(again.trainable_weights) == len(flat.trainable_weights)
    assert isinstance(again.get_layer(trained.name).alpha.constraint, keras.constraints.NonNeg)


def test_a_weight_that_several_calls_use_stays_one() -> None:
    first, second = LayerScale(), LayerScale()
    second.own = first.own
    model = network(first, first, second)
    flat = as_classifier(model, reference="it")
    np.testing.assert_array_equal(flat(images()), model(images()))
    assert len([layer for layer in flat.layers if isinstance(layer, layers.PReLU)]) == 1
    with tf.GradientTape() as tape, tf.GradientTape() as other:
        losses = [tf.reduce_sum(each(images())) for each in (flat, model)]
    slopes = [tape.gradient(losses[0], first.own.value), other.gradient(losses[1], first.own.value)]
    np.testing.assert_allclose(*slopes, rtol=1e-5)


class Norm(layers.LayerNormalization):
    def __init__(self) -> None:
        super().__init__(epsilon=1e-6)


def test_a_layer_of_keras_by_another_name_keeps_its_weights() -> None:
    flat = as_classifier(network(Norm()), reference="it")
    assert [type(layer) for layer in flat.layers[3:5]] == [layers.LayerNormalization, layers.Conv2D]


class Product(Block):
    shape = (CHANNELS, CHANNELS)

    def used(self, y: Any, x: Any) -> Any:
        return tf.matmul(y, self.own)


class Counting(Block):
    """Changes what it uses."""

    def used(self, y: Any, x: Any) -> Any:
        self.own.assign(self.own + 1.0)
        return y * self.own


class ForEachImage(Block):
    shape = (2, 1, 1, 1)

    def used(self, y: Any, x: Any) -> Any:
        return y[:2] * self.own


@pytest.mark.parametrize("kind", [Product, Counting, ForEachImage])
def test_what_is_done_to_a_weight_that_cannot_be_followed_stands_in_the_way(kind: type[Block]) -> None:
    image = keras.Input((SIZE, SIZE, CHANNELS))
    assert obstacle(kind(), (image,), {}) == "its call itself uses weight 'own', which no layer inside applies"


class Variable(Block):
    """Has it as Keras 2 took it: what Keras 3 makes no weight of."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.free = tf.Variable(value, name="free")

    def used(self, y: Any, x: Any) -> Any:
        return y + tf.gather(y, tf.cast(self.free, "int32"), axis=-1)


def test_a_variable_of_tensorflow_is_a_table_of_places_or_stands_in_the_way() -> None:
    flat = as_classifier(network(Variable(np.arange(CHANNELS)[::-1].copy())), reference="it")
    assert all(map(is_stock, flat.layers))
    image = keras.Input((SIZE, SIZE, CHANNELS))
    told = obstacle(Variable(np.arange(6.0)), (image,), {})
    assert told == "its call reads tf.Variable 'free', which is no weight to Keras (add_weight)"
