"""Networks of gray images behind a door for RGB: data, metadata and programs on phones all have three channels."""

from typing import Any

import keras

from ofar_tf.data.color import LUMA

RGB_TO_GRAY = "rgb_to_gray"
"""The name of the layer."""


def rgb_to_gray(images: Any) -> Any:
    """Makes gray images of symbolic RGB images, by a 1 x 1 convolution: every converter and every delegate knows one.

    Args:
        images: A Keras tensor `[batch, height, width, 3]`.

    Returns:
        A Keras tensor `[batch, height, width, 1]`, of the same range; of gray images, repeated, what they were.
    """
    kernel = keras.initializers.Constant([[[[share] for share in LUMA]]])
    layer = keras.layers.Conv2D(1, 1, use_bias=False, kernel_initializer=kernel, trainable=False, name=RGB_TO_GRAY)
    return layer(images)
