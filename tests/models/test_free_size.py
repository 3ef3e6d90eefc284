"""A model built for one size runs at others, unless one of its layers needs that size."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from ofar_tf.models.user_model import as_supernet

SIZE = 12


class Position(layers.Layer):
    """Adds a weight for each pixel, and says that its output is of any size."""

    def build(self, shape: Any) -> None:
        self.position = self.add_weight(shape=shape[1:], name="position")

    def call(self, inputs: Any) -> Any:
        return inputs + self.position

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


def network(top: Callable[[Any], Any]) -> keras.Model:
    image = keras.Input((SIZE, SIZE, 3))
    # As keras.applications pads: one row more below than above, because the size is even.
    x = layers.ZeroPadding2D(((0, 1), (0, 1)))(layers.Rescaling(1 / 255)(image))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, strides=2, use_bias=False)(x)))
    return keras.Model(image, layers.Dense(5)(top(x)))


def average(x: Any) -> Any:
    return layers.GlobalAveragePooling2D()(x)


FREE = {
    "pooling": average,
    "an_open_reshape": lambda x: layers.GlobalAveragePooling1D()(layers.Reshape((-1, 4))(x)),
    "a_gate": lambda x: average(
        layers.Multiply()([x, layers.Reshape((1, 1, 4))(layers.Dense(4, activation="sigmoid")(average(x)))])
    ),
    "a_resized_image": lambda x: layers.Flatten()(layers.Resizing(3, 3)(x)),
    "up_and_down": lambda x: average(layers.Concatenate()([layers.UpSampling2D()(layers.MaxPooling2D()(x)), x])),
}
FIXED = {
    "flatten": layers.Flatten(),
    # Of an image of another size it would make several.
    "a_closed_reshape_of_any_number_of_images": lambda x: layers.GlobalAveragePooling1D()(
        keras.ops.reshape(x, (-1, 36, 4))
    ),
    "a_closed_reshape": lambda x: layers.GlobalAveragePooling1D()(layers.Reshape((36, 4))(x)),
    "a_pool_of_the_whole_map": lambda x: layers.Flatten()(layers.AveragePooling2D(6)(x)),
    "positions": lambda x: average(Position()(x)),
    "a_random_layer_that_must_know_it": lambda x: average(layers.RandomErasing()(x)),
    "a_random_crop": lambda x: average(layers.RandomCrop(4, 4)(x)),
}


@pytest.mark.parametrize("name", FREE)
def test_height_and_width_are_freed_and_the_outputs_stay(name: str) -> None:
    model = network(FREE[name])
    free = as_supernet(model, reference="it")
    assert free.input_shape == (None, None, None, 3)
    images = np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype("float32")
    np.testing.assert_allclose(free(images), model(images), rtol=1e-5, atol=1e-5)
    assert free(np.zeros((1, 16, 16, 3), "float32")).shape == (1, 5)
    assert [id(weight) for weight in free.weights] == [id(weight) for weight in model.weights]


@pytest.mark.parametrize("name", FIXED)
def test_a_layer_that_needs_the_size_keeps_it(name: str) -> None:
    model = network(FIXED[name])
    assert as_supernet(model, reference="it").input_shape == (None, SIZE, SIZE, 3)


def test_efficientnet_of_keras_which_cannot_be_built_at_any_size_runs_at_any() -> None:
    arguments = {"weights": None, "classes": 5, "classifier_activation": None}
    model = keras.applications.MobileNetV3Small(input_shape=(96, 96, 3), **arguments)
    free = as_supernet(model, reference="it")
    images = np.random.default_rng(0).uniform(0, 255, (2, 96, 96, 3)).astype("float32")
    np.testing.assert_allclose(free(images, training=False), model(images, training=False), rtol=1e-4, atol=1e-6)
    assert free(images[:, :64, :64], training=False).shape == (2, 5)


@pytest.mark.parametrize("shape", [(48, 32), (None, 32), (32, None)])
def test_an_input_that_is_not_square_is_refused_in_one_line(shape: tuple[int | None, int | None]) -> None:
    image = keras.Input((*shape, 3))
    model = keras.Model(image, layers.Dense(5)(average(layers.Conv2D(4, 3)(image))))
    message = rf"Expected a model for square images.* Received: it, whose input is {shape[0]}x{shape[1]}\.$"
    with pytest.raises(ValueError, match=message):
        as_supernet(model, reference="it")


def test_a_random_layer_that_must_know_the_size_of_any_image_is_refused_in_one_line() -> None:
    image = keras.Input((None, None, 3))
    model = keras.Model(image, layers.Dense(5)(average(layers.RandomErasing(name="erase")(image))))
    with pytest.raises(
        ValueError, match="Received: it, whose layer 'erase' of type RandomErasing needs the size"
    ) as error:
        as_supernet(model, reference="it")
    assert "\n" not in str(error.value)
