"""The convolutions that MobileNets and EfficientNet-Lite are made of: without bias, then BatchNorm and ReLU6."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True)
class MobileBlocks:
    """Makes the layers of a family of networks; those of `name` are called `name`, `name_bn` and `name_relu`.

    Attributes:
        momentum: BatchNorm's; its epsilon is 0.001.
        initializer: Makes the initializer of a kernel, a new one for each.
    """

    momentum: float
    initializer: Callable[[], Any]

    def convolution(
        self, x: Any, filters: int, kernel_size: int, *, name: str, strides: int = 1, linear: bool = False
    ) -> Any:
        """Adds a convolution; without ReLU6 where it is linear."""
        convolution = keras.layers.Conv2D(
            filters,
            kernel_size,
            strides=strides,
            padding="same",
            use_bias=False,
            kernel_initializer=self.initializer(),
            name=name,
        )
        return self._norm_relu6(convolution(x), name=name, linear=linear)

    def depthwise(self, x: Any, kernel_size: int, *, strides: int, name: str) -> Any:
        """Adds a depthwise convolution."""
        depthwise = keras.layers.DepthwiseConv2D(
            kernel_size,
            strides=strides,
            padding="same",
            use_bias=False,
            depthwise_initializer=self.initializer(),
            name=name,
        )
        return self._norm_relu6(depthwise(x), name=name)

    def inverted_residual(
        self, x: Any, filters: int, kernel_size: int, *, expansion: int, strides: int, name: str
    ) -> Any:
        """Adds MobileNetV2's block: wider by a factor, depthwise, narrow and linear, with a shortcut where it fits."""
        channels = x.shape[-1]
        block_input = x
        if expansion != 1:
            x = self.convolution(x, expansion * channels, 1, name=f"{name}_expand")
        x = self.depthwise(x, kernel_size, strides=strides, name=f"{name}_depthwise")
        x = self.convolution(x, filters, 1, linear=True, name=f"{name}_project")
        if strides == 1 and filters == channels:
            return keras.layers.Add(name=f"{name}_add")([block_input, x])
        return x

    def _norm_relu6(self, x: Any, *, name: str, linear: bool = False) -> Any:
        x = keras.layers.BatchNormalization(momentum=self.momentum, epsilon=1e-3, name=f"{name}_bn")(x)
        return x if linear else keras.layers.ReLU(max_value=6, name=f"{name}_relu")(x)


def released_mobilenets() -> MobileBlocks:
    """The blocks of both MobileNets, as their authors' code has them, except V1's momentum; see `mobilenet_v1`."""
    return MobileBlocks(momentum=0.997, initializer=lambda: keras.initializers.TruncatedNormal(stddev=0.09))
