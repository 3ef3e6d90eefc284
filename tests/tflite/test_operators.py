"""The list is right where the converter itself says the same."""

from typing import Any

import keras
import pytest

from ofar_tf.conversion.converter import convert
from ofar_tf.text.size import Size
from ofar_tf.tflite.operators import unconvertible

ops, layers = keras.ops, keras.layers


class Noisy(layers.Layer):
    """Draws in inference too."""

    def call(self, x: Any) -> Any:
        return x + keras.random.normal((3,), seed=1)


def network(function: Any) -> keras.Model:
    image = keras.Input((8, 8, 3))
    return keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(function(image))))


@pytest.mark.parametrize(
    ("function", "operator"),
    [
        (lambda x: ops.squeeze(layers.MaxPooling3D((1, 2, 2))(ops.expand_dims(x, 1)), 1), "MaxPool3D"),
        (layers.UpSampling2D(2, interpolation="bicubic"), "ResizeBicubic"),
        (layers.Conv2DTranspose(4, 3, padding="same", dilation_rate=2), "Conv2DBackpropInput"),
        (lambda x: Noisy()(x), "StatelessRandomGetKeyCounter"),
        (lambda x: ops.take_along_axis(x, ops.argmax(x, axis=-1, keepdims=True), axis=-1), "BitwiseAnd"),
    ],
)
def test_what_has_no_operator_is_named_and_cannot_be_converted(function, operator):
    model = network(function)
    (named,) = unconvertible(model, size=Size(8, 8))
    assert named.endswith(f" ({operator})")
    with pytest.raises(Exception, match=operator):
        convert(model, precision="float32")


@pytest.mark.parametrize(
    "function",
    [
        lambda x: ops.gelu(x, approximate=False),
        lambda x: x * ops.tan(ops.ones(3)),
        layers.Conv2DTranspose(4, 3, 2, padding="same"),
        layers.Dropout(0.5),
        layers.GaussianNoise(0.5),
    ],
)
def test_what_can_be_converted_is_let_through(function):
    model = network(function)
    assert unconvertible(model, size=Size(8, 8)) == []
    assert convert(model, precision="float32")
