"""Only BatchNorm is in training mode while it is observed: against statistics computed by hand."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from ofar_tf.models.functional_graph import inner_layers
from ofar_tf.pruning.batch_statistics import BatchStatistics


@keras.saving.register_keras_serializable("test_batch_statistics")
class DropPath(layers.Layer):
    """Noise by a name of its own."""

    def __init__(self, drop_prob: float = 0.5, **kwargs: Any):
        super().__init__(**kwargs)
        self.drop_prob, self.seeds = drop_prob, keras.random.SeedGenerator(0)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if not training:
            return inputs
        kept = keras.random.uniform((ops.shape(inputs)[0], 1, 1, 1), seed=self.seeds) > self.drop_prob
        return inputs * ops.cast(kept, "float32")


@keras.saving.register_keras_serializable("test_batch_statistics")
class Scale(layers.Layer):
    """Has an attribute that other layers call their noise."""

    def __init__(self, rate: float = 1.25, **kwargs: Any):
        super().__init__(**kwargs)
        self.rate = rate

    def call(self, inputs: Any) -> Any:
        return inputs * self.rate


class Block(layers.Layer):
    """Holds a BatchNorm, and noise, that the library does not see."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.noise, self.norm = layers.Dropout(0.5), layers.BatchNormalization()

    def build(self, shape: Any) -> None:
        self.norm.build(shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.norm(self.noise(inputs, training=training), training=training)


NOISE: dict[str, Callable[[], Any]] = {
    "dropout": lambda: layers.Dropout(0.5),
    "spatial_dropout": lambda: layers.SpatialDropout2D(0.5),
    "gaussian_noise": lambda: layers.GaussianNoise(1.0),
    "drop_path": DropPath,
    "flip": lambda: layers.RandomFlip(),
    "translation": lambda: layers.RandomTranslation(0.3, 0.3),
    "brightness": lambda: layers.RandomBrightness(0.5),
    "contrast": lambda: layers.RandomContrast(0.5),
    "rotation": lambda: layers.RandomRotation(0.3),
}


def images(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, (6, 8, 8, 3)).astype("float32")


def observe(model: keras.Model, batch: np.ndarray) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    statistics = BatchStatistics(model)
    values = [variable.value for variable in model.trainable_variables]
    states = [variable.value for variable in model.non_trainable_variables]
    outputs, moments = statistics.run(values, states, batch)
    return np.asarray(outputs), [(np.asarray(mean), np.asarray(variance)) for mean, variance in moments]


@pytest.mark.parametrize("name", NOISE)
def test_noise_of_any_name_is_off(name: str) -> None:
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, layers.BatchNormalization()(NOISE[name]()(image)))
    batch = images()
    outputs, ((mean, variance),) = observe(model, batch)
    np.testing.assert_allclose(mean, batch.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance, batch.var((0, 1, 2)), rtol=1e-4)
    expected = (batch - batch.mean((0, 1, 2))) / np.sqrt(batch.var((0, 1, 2)) + 1e-3)
    np.testing.assert_allclose(outputs, expected, atol=1e-4)


def test_an_attribute_called_rate_is_left_alone() -> None:
    image = keras.Input((8, 8, 3))
    _, ((mean, _),) = observe(keras.Model(image, layers.BatchNormalization()(Scale()(image))), images())
    np.testing.assert_allclose(mean, 1.25 * images().mean((0, 1, 2)), rtol=1e-5)


def test_a_batch_norm_inside_of_another_layer_is_seen_and_the_noise_beside_it_is_off() -> None:
    image = keras.Input((8, 8, 3))
    _, ((mean, variance),) = observe(keras.Model(image, Block()(image)), images())
    np.testing.assert_allclose(mean, images().mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance, images().var((0, 1, 2)), rtol=1e-4)


def test_a_batch_norm_that_is_called_twice_has_the_statistics_of_both_calls() -> None:
    image, norm = keras.Input((8, 8, 3)), layers.BatchNormalization()
    smaller = layers.AveragePooling2D(2)(image) + 100.0
    model = keras.Model(image, [norm(image), norm(smaller)])
    batch = images()
    statistics = BatchStatistics(model)
    states = [variable.value for variable in model.non_trainable_variables]
    _, ((mean, variance),) = statistics.run([each.value for each in model.trainable_variables], states, batch)
    pooled = batch.reshape(6, 4, 2, 4, 2, 3).mean((2, 4)) + 100.0
    everything = np.concatenate([batch.reshape(-1, 3), pooled.reshape(-1, 3)]).astype("float64")
    np.testing.assert_allclose(mean, everything.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, everything.var(0), rtol=1e-4)


def test_a_frozen_batch_norm_keeps_its_statistics() -> None:
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, layers.BatchNormalization(trainable=False)(image))
    outputs, ((mean, variance),) = observe(model, images())
    np.testing.assert_array_equal(mean, [0, 0, 0])
    np.testing.assert_array_equal(variance, [1, 1, 1])
    np.testing.assert_allclose(outputs, images() / np.sqrt(1.001), rtol=1e-5)


def test_afterwards_the_network_runs_in_inference_again() -> None:
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, layers.BatchNormalization()(image))
    observe(model, images())
    np.testing.assert_allclose(model(images(), training=False), images() / np.sqrt(1.001), rtol=1e-5)
    assert all("call" not in vars(layer) for layer in inner_layers(model))
