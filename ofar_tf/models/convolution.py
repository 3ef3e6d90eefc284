"""Convolutions without a bias as `fb.resnet.torch` starts them, for all networks that a norm follows."""

from typing import Any

import keras


def convolution(x: Any, filters: int, kernel_size: int, *, name: str, strides: int = 1) -> Any:
    """Adds a convolution with `same` padding and without a bias.

    Args:
        x: Features, `[batch, height, width, channels]`.
        filters: Channels of the result.
        kernel_size: Side of the kernel.
        name: The layer's name.
        strides: Pixels from one place of the kernel to the next.
    """
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer=initializer(),
        name=name,
    )(x)


def normed_convolution(
    x: Any, filters: int, kernel_size: int, *, name: str, strides: int = 1, linear: bool = False
) -> Any:
    """Adds a `convolution`, its BatchNormalization and, unless it is `linear`, a ReLU; see there for the arguments."""
    x = convolution(x, filters, kernel_size, strides=strides, name=name)
    x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return x if linear else keras.layers.ReLU(name=f"{name}_relu")(x)


def initializer() -> keras.initializers.Initializer:
    """Returns a new initializer of a kernel: normal, of variance 2 / fan-out (He et al. 2015, arXiv:1502.01852).

    A depthwise kernel [k, k, channels, 1] has a fan-out of k * k here, which is what one of its filters reads.
    """
    return keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="untruncated_normal")
