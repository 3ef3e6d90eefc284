"""Layers and models that have a `call` become the graph of what is called, where that says all that they do."""

import gc
import importlib
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from ofar_tf.models.functional_graph import is_stock
from ofar_tf.models.opening import obstacle, opened
from ofar_tf.models.resolution import smallest_resolution
from ofar_tf.models.user_model import as_classifier, as_supernet
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.subnet import extract_subnet

SIZE = 8
K = importlib.import_module("keras._tf_keras.keras.backend")  # What programs import from `tensorflow.keras`.


class Conv(layers.Layer):
    """A block as people write it, with a function of TensorFlow's and no configuration."""

    def __init__(self, filters: int):
        super().__init__()
        self.conv = layers.Conv2D(filters, 3, padding="same", use_bias=False)
        self.norm = layers.BatchNormalization()

    def call(self, x: Any, training: bool = False) -> Any:
        return tf.nn.relu(self.norm(self.conv(x), training=training))


class Residual(keras.Model):
    """A block that is a model, and says in `build` what it consists of."""

    def build(self, shape: Any) -> None:
        self.blocks = [Conv(8), Conv(shape[-1])]

    def call(self, x: Any, training: bool | None = None) -> Any:
        y = x
        for block in self.blocks:
            y = block(y, training=training)
        return layers.add([x, y])


class Gate(layers.Layer):
    def __init__(self, channels: int):
        super().__init__()
        self.squeeze = keras.Sequential([layers.Dense(4, "relu"), layers.Dense(channels, "sigmoid")])

    def call(self, x: Any) -> Any:
        return tf.multiply(x, self.squeeze(tf.reduce_mean(x, axis=[1, 2], keepdims=True)))


class Shuffle(layers.Layer):
    """Its reshapes are to sizes that are known only when it runs."""

    def call(self, x: Any) -> Any:
        shape = tf.shape(x)
        pairs = tf.reshape(x, [shape[0], shape[1], shape[2], 2, x.shape[-1] // 2])
        return tf.reshape(tf.transpose(pairs, [0, 1, 2, 4, 3]), shape)


class Halves(layers.Layer):
    def call(self, x: Any) -> Any:
        one, other = tf.split(x, 2, axis=-1)
        return {"a": one, "b": tf.concat([other, one], axis=-1)}


class Wide(layers.Conv2D):
    """Says only how a layer of Keras' is made."""

    factor = 2

    def __init__(self, filters: int, **kwargs: Any):
        super().__init__(self.factor * filters, 1, **kwargs)


class Network(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.rescaling, self.blocks = layers.Rescaling(1 / 255), [Conv(8), Residual(), Gate(8), Shuffle(), Conv(12)]
        self.head = keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dropout(0.1), layers.Dense(3)])

    def call(self, images: Any, training: bool = False) -> Any:
        x = self.rescaling(images)
        for block in self.blocks:
            x = block(x)
        return self.head(x, training=training)


def shuffled(x: Any, parts: int) -> Any:
    shape, channels = tf.shape(x), x.shape[-1]
    x = tf.reshape(x, [shape[0], shape[1], shape[2], parts, channels // parts])
    return tf.reshape(tf.transpose(x, [0, 1, 2, 4, 3]), [shape[0], shape[1], shape[2], channels])


def halved(x: Any) -> Any:
    halves = Halves()(x)
    return layers.Concatenate()([halves["b"], halves["a"]])


def spatial_gate(x: Any) -> Any:
    """As programs for Keras 2 write it."""
    maps = [layers.Lambda(lambda t, of=of: of(t, axis=3, keepdims=True))(x) for of in (K.mean, K.max)]
    return layers.multiply([x, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(layers.concatenate(maps))])


class Positions(layers.Layer):
    """Asks what only TensorFlow's tensors know, between layers that train as they are told, or not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.dense = layers.Conv2D(6, 1), layers.BatchNormalization(), layers.Dense(6)

    def call(self, x: Any, training: bool = False) -> Any:
        y = self.norm(self.conv(x), training=training)
        _, height, width, channels = y.get_shape().as_list()
        weights = tf.nn.softmax(tf.reshape(self.dense(y), [-1, height * width, channels]), axis=1)
        return tf.nn.relu(y) * tf.expand_dims(K.sum(weights, axis=1, keepdims=True), axis=1)


class Augmented(keras.Model):
    """Hands nothing on of whether it trains, so that Keras itself turns images in inference too."""

    def __init__(self) -> None:
        super().__init__()
        self.augmentation = keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.2)])
        self.block, self.pool, self.head = Conv(8), layers.GlobalMaxPooling2D(), layers.Dense(3)

    def call(self, images: Any) -> Any:
        return self.head(self.pool(self.block(self.augmentation(images))))


class Told(layers.Layer):
    """Calls some layers in training alone, as pages of Keras show it, and has others that it never calls."""

    def __init__(self) -> None:
        super().__init__()
        self.noise, self.drop, self.never = layers.GaussianNoise(1.0), layers.Dropout(0.5), layers.Dropout(0.5)
        self.conv, self.norm, self.built = layers.Conv2D(6, 1), layers.BatchNormalization(), layers.Dense(5)
        self.act = layers.Activation("relu")
        self.built.build((None, 4))
        self.temperature = self.add_weight(shape=(), initializer="ones")

    def call(self, x: Any, training: bool = False) -> Any:
        if training:
            x = self.noise(x)
        x = self.act(self.norm(self.conv(x), training=training), training=training)  # Which takes none.
        return self.drop(x, training=training) if training else x


KERNEL = np.random.default_rng(2).uniform(size=(3, 3, 8, 1)).astype("float32")


class Blur(layers.Layer):
    """Its kernel, made for as many channels as there are, is a number and no weight."""

    def build(self, shape: Any) -> None:
        self.kernel = KERNEL[:, :, : shape[-1]]

    def call(self, x: Any) -> Any:
        return tf.nn.depthwise_conv2d(x, self.kernel, strides=[1, 2, 2, 1], padding="SAME")


def images(batch: int = 3) -> Any:
    return np.random.default_rng(0).uniform(0, 255, (batch, SIZE, SIZE, 3)).astype("float32")


def network(body: Callable[[Any], Any], *, size: int | None = None) -> keras.Model:
    image = keras.Input((size, size, 3))
    x = Conv(10)(body(Conv(8)(image)))
    return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


# Name -> (body, how many channels can be pruned beside the 8 + 10 around it).
OPENED: dict[str, tuple[Callable[[Any], Any], int]] = {
    "a_block": (lambda x: Conv(6)(x), 6),
    "a_block_of_blocks": (lambda x: Residual()(x), 8),
    "a_gate": (lambda x: Gate(8)(x), 0),
    "a_shuffle": (lambda x: Shuffle()(x), 0),
    "several_outputs": (halved, 0),
    "lambda": (lambda x: layers.Lambda(lambda t: tf.nn.relu6(t + 3.0) * t / 6.0)(x), 0),
    "a_lambda_that_shuffles": (lambda x: layers.Lambda(shuffled, arguments={"parts": 2})(x), 0),
    "a_lambda_that_resizes": (lambda x: layers.Lambda(lambda t: tf.image.resize(t, (5, 5)))(x), 0),
    "lambdas_of_the_backend": (spatial_gate, 0),
    "a_dense_layer_at_each_step": (
        lambda x: layers.ReLU()(layers.BatchNormalization()(layers.TimeDistributed(layers.Dense(9))(x))),
        9,
    ),
    "a_layer_of_keras_by_another_name": (lambda x: layers.ReLU()(layers.BatchNormalization()(Wide(3)(x))), 6),
}


@pytest.mark.parametrize("name", OPENED)
def test_what_a_layer_calls_is_what_a_network_consists_of(name: str) -> None:
    body, channels = OPENED[name]
    model = network(body)
    flat = as_classifier(model, reference="it")
    assert all(is_stock(layer) and type(layer) is not layers.Lambda for layer in flat.layers)
    np.testing.assert_allclose(flat(images()), model(images()), rtol=1e-5, atol=1e-5)
    assert len(flat.weights) == len(model.weights)
    groups = find_channel_groups(flat, prune_residual_stream=True)
    assert groups.size == 8 + channels + 10
    half = ChannelMask(groups.groups, np.arange(groups.size) % 2 == 0)
    assert extract_subnet(flat, groups, half)(images()).shape == (3, 3)


def test_a_model_that_has_only_a_call_is_opened_with_its_own_weights() -> None:
    model = Network()
    model(images())
    flat = as_classifier(model, reference="it")
    assert {id(weight) for weight in flat.weights} == {id(weight) for weight in model.weights}
    np.testing.assert_allclose(flat(images()), model(images()), rtol=1e-5, atol=1e-5)
    assert find_channel_groups(flat).size == 8 + 12


def test_a_model_that_was_never_called_is_opened_for_images_of_any_size() -> None:
    assert as_classifier(Network(), reference="it").input_shape == (None, None, None, 3)


def test_a_model_that_does_not_say_whether_it_trains_augments_in_training_alone() -> None:
    flat = as_classifier(Augmented(), reference="it")
    assert [type(layer) for layer in flat.layers[1:3]] == [layers.RandomFlip, layers.RandomRotation]
    still, moving = ([np.asarray(flat(images(), training=flag)) for _ in range(2)] for flag in (False, True))
    np.testing.assert_array_equal(*still)
    assert np.abs(moving[0] - moving[1]).max() > 1e-3


def test_a_layer_that_asks_for_shapes_as_tensorflow_has_them_trains_and_infers_as_it_did() -> None:
    model = network(lambda x: Positions()(x), size=SIZE)
    flat = as_supernet(model, reference="it")
    assert all(map(is_stock, flat.layers)) and len(flat.weights) == len(model.weights)
    for training in (True, False):
        before = [np.asarray(weight) for weight in model.weights]
        expected = np.asarray(model(images(), training=training))
        for weight, value in zip(model.weights, before, strict=True):
            weight.assign(value)
        np.testing.assert_allclose(flat(images(), training=training), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "blur", [lambda x: Blur()(x), lambda x: ops.depthwise_conv(x, KERNEL, strides=2, padding="same")]
)
def test_a_kernel_of_each_channel_that_is_a_number_is_a_frozen_weight_that_can_be_narrower(blur: Any) -> None:
    model = network(blur)
    flat = as_classifier(model, reference="it")
    np.testing.assert_allclose(flat(images()), model(images()), rtol=1e-5, atol=1e-5)
    groups = find_channel_groups(flat)
    assert groups.size == 8 + 10 and len(flat.trainable_weights) == len(model.trainable_weights)
    keep = np.arange(groups.size) % 3 > 0
    narrow = extract_subnet(flat, groups, ChannelMask(groups.groups, keep))
    (layer,) = [each for each in narrow.layers if isinstance(each, layers.DepthwiseConv2D)]
    np.testing.assert_array_equal(layer.kernel, KERNEL[:, :, keep[:8]])


def test_layers_that_are_called_in_training_alone_are_called_then_and_those_that_never_are_are_none() -> None:
    layer = Told()
    model = network(lambda x: layer(x))
    flat = as_classifier(model, reference="it")
    assert all(map(is_stock, flat.layers)) and {layer.noise, layer.drop} <= set(flat.layers)
    assert len(flat.weights) == len(model.weights) - 3 and find_channel_groups(flat).size == 8 + 6 + 10
    np.testing.assert_allclose(flat(images(), training=False), model(images(), training=False), rtol=1e-5, atol=1e-5)
    for deviation, rate in ((1.0, 0.0), (0.0, 0.5), (0.0, 0.0)):
        layer.noise.stddev, layer.drop.rate = deviation, rate
        runs = [np.asarray(flat(images(), training=True)) for _ in range(2)]
        assert (np.abs(runs[0] - runs[1]).max() > 1e-4) == (deviation + rate > 0.0)


def test_what_is_inside_trains_and_infers_as_it_did() -> None:
    model = network(lambda x: Residual()(x))
    flat = as_supernet(model, reference="it")
    flat(images(), training=True)  # The moving averages of inner layers, which their weights are, have moved.
    moved = [np.asarray(weight) for weight in model.weights if weight.name == "moving_mean"]
    assert len(moved) == 4 and all(mean.any() for mean in moved)


class Named(layers.Layer):
    """The layers inside have the names that Keras gives to the first operations of their kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = layers.Conv2D(8, 1, name="multiply")
        self.inner = [layers.Reshape((SIZE * SIZE, 8), name="reshape"), layers.Activation("relu", name="relu")]

    def call(self, x: Any) -> Any:
        y = self.inner[1](self.inner[0](self.conv(x) * 0.5))
        return ops.relu(ops.reshape(y, (ops.shape(x)[0], SIZE, SIZE, 8)))


def test_layers_inside_may_have_the_names_that_operations_get_in_a_new_process() -> None:
    layer, image = Named(), keras.Input((SIZE, SIZE, 8))
    layer(image)
    keras.backend.clear_session(free_memory=False)  # Names are counted from the beginning, as where a file is read.
    graph = opened(layer, (image,), {})
    assert graph is not None
    assert {"multiply", "reshape", "relu"} <= {each.name for each in graph.layers}


class OwnWeight(layers.Layer):
    """Makes of its weight what nothing that Keras has makes of one."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x: Any) -> Any:
        return x * ops.cumsum(self.scale)


class OnlyInTraining(layers.Layer):
    def call(self, x: Any, training: bool = False) -> Any:
        return x + 1.0 if training else x


class UsedInTraining(layers.Layer):
    """Leaves a layer out of inference that does something there, too."""

    def build(self, shape: Any) -> None:
        self.norm = layers.BatchNormalization()
        self.norm.build(shape)

    def call(self, x: Any, training: bool = False) -> Any:
        return self.norm(x, training=training) if training else x


class Scaled(layers.Layer):
    """Uses the weights of a layer that it does not call."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(3, name="taken")
        self.dense.build((None, 8))

    def call(self, x: Any) -> Any:
        return x * ops.mean(self.dense.kernel)


class Random(layers.Layer):
    def call(self, x: Any) -> Any:
        return x * keras.random.uniform(())


class Counting(layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.calls = layers.Conv2D(8, 1), self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x: Any) -> Any:
        self.calls.assign_add(1.0)
        return self.conv(x)


class OtherNumbers(layers.Layer):
    """Looks at the numbers, which symbolic tensors do not have."""

    def call(self, x: Any) -> Any:
        return x if isinstance(x, keras.KerasTensor) else ops.cumsum(x, axis=-1)


class Normed(layers.Conv2D):
    def call(self, x: Any) -> Any:
        return ops.conv(x, self.kernel - ops.mean(self.kernel), padding=self.padding)


class Accumulated(layers.Layer):
    def call(self, x: Any) -> Any:
        return tf.cumsum(x, axis=1)


class Faulty(layers.Layer):
    def call(self, x: Any) -> Any:
        return tf.no_such_function(x)


class Drawn(layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.seed = keras.random.SeedGenerator(0)

    def call(self, x: Any) -> Any:
        return x * keras.random.uniform((ops.shape(x)[0], 1, 1, 1), seed=self.seed)


class Global(layers.Layer):
    """Calls a layer that is none of its own."""

    def call(self, x: Any) -> Any:
        return OUTSIDE(x)


OUTSIDE = layers.Dense(8, name="outside")

# What stays closed, and what stands in the way.
OBSTACLES: dict[str, tuple[Callable[[], Any], str]] = {
    "own_weight": (OwnWeight, "its call itself uses weight 'scale', which no layer inside applies"),
    "kernel": (lambda: Normed(8, 3, padding="same"), "its call itself uses weight 'kernel', which no layer inside a"),
    "of_another": (Scaled, "its call itself uses weight 'taken.kernel', which no layer inside applies"),
    "training": (UsedInTraining, "its call does something else in training than in inference"),
    "random": (Random, "its call gives other numbers each time"),
    "seed": (Drawn, "its call draws random numbers"),
    "numbers": (OtherNumbers, "the graph of its call gives other numbers"),
    "operator": (Accumulated, "Keras has no operation for Cumsum"),
    "fault": (
        Faulty,
        "AttributeError: module 'tensorflow' has no attribute 'no_such_function', at `return tf.no_such_",
    ),
    "global": (Global, "its call uses layer 'outside', which is no attribute of it"),
    "none": (lambda: Conv(8), ""),
    "stock": (layers.ReLU, ""),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_what_stands_in_the_way_is_said_in_one_clause(name: str) -> None:
    make, why = OBSTACLES[name]
    told = obstacle(make(), (keras.Input((SIZE, SIZE, 8)),), {})
    assert told.startswith(why)
    assert bool(told) == bool(why)
    assert "\n" not in told


class Unsaved(OwnWeight):
    def __init__(self, channels: int):
        super().__init__()


@pytest.mark.parametrize("look", [smallest_resolution, find_channel_groups])
def test_a_closed_layer_that_cannot_be_copied_says_both(look: Callable[[Any], Any]) -> None:
    flat = as_classifier(network(Unsaved(8)), reference="it")
    with pytest.raises(ValueError, match=r"__init__.* cannot be opened: its call itself uses weight 'scale'") as error:
        look(flat)
    assert "\n" not in str(error.value)


class BuiltLater(keras.Model):
    def build(self, shape: Any) -> None:
        self.block, self.pool, self.head = Conv(8), layers.GlobalMaxPooling2D(), layers.Dense(3)

    def call(self, images: Any) -> Any:
        return self.head(self.pool(self.block(images)))


def test_a_model_that_makes_its_layers_in_build_and_was_never_called_is_opened() -> None:
    assert find_channel_groups(as_classifier(BuiltLater(), reference="it")).size == 8


CLOSED: dict[str, Callable[[], Any]] = {
    "own_weight": OwnWeight,
    "only_in_training": OnlyInTraining,
    "a_layer_that_infers_in_training_alone": UsedInTraining,
    "weights_of_a_layer_that_is_not_called": Scaled,
    "random": Random,
    "counting": Counting,
    "other_numbers": OtherNumbers,
    "a_kernel_of_its_own": lambda: Normed(8, 3, padding="same"),
}


@pytest.mark.parametrize("name", CLOSED)
def test_a_layer_of_which_the_graph_would_not_say_all_stays_as_it_is(name: str) -> None:
    layer = CLOSED[name]()
    flat = as_supernet(network(lambda x: layer(x)), reference="it")
    assert any(each is layer for each in flat.layers)


def test_a_reshape_of_any_number_of_images_runs() -> None:
    image = keras.Input((None, None, 3))
    x = Conv(8)(image)
    x = ops.reshape(x, (ops.shape(x)[0], -1, 8))  # Keras itself fails to run this one.
    flat = as_classifier(keras.Model(image, layers.Dense(3)(ops.mean(x, axis=1))), reference="it")
    assert flat(images()).shape == (3, 3)
    assert find_channel_groups(flat).size == 8


def test_a_reshape_to_sizes_that_nobody_knows_is_refused_in_one_line() -> None:
    image = keras.Input((None, None, 3))
    x = Conv(8)(image)
    size = ops.shape(x)
    x = ops.reshape(ops.reshape(x, (*size[:3], 2, 4)), (*size[:3], 8))
    model = keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    with pytest.raises(ValueError, match=r"to \(None, None, None, 2, 4\), which Keras cannot run\.$") as error:
        as_classifier(model, reference="it")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("kind", "opens"), [(Scaled, False), (Positions, True)])
def test_attempts_that_failed_keep_nothing_alive_that_callers_hold(kind: type, opens: bool) -> None:
    class Held:
        pass

    def ask() -> weakref.ref[Held]:
        held, layer = Held(), kind()
        image = keras.Input((8, 8, 3))
        layer(image)
        assert (opened(layer, (image,), {}) is not None) == opens
        return weakref.ref(held)

    gc.disable()  # What only the collector of cycles would find holds locks for a while.
    try:
        assert ask()() is None
    finally:
        gc.enable()
