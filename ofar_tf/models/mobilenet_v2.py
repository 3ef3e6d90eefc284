"""MobileNetV2: inverted residuals with linear bottlenecks (Sandler et al. 2018, arXiv:1801.04381)."""

from typing import Any

import keras

from ofar_tf.models.classifier import classifier, images
from ofar_tf.models.width import scaled

# Table 2 of the paper: expansion factor, output channels, number of blocks, stride of the first of them.
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
_STEM_CHANNELS = 32
_HEAD_CHANNELS = 1280


def mobilenet_v2(
    classes: int, *, width_multiplier: float = 1.0, small_images: bool = False, dropout: float = 0.0
) -> keras.Model:
    """Builds MobileNetV2.

    Strides, `same` padding, BatchNorm momentum 0.997 and epsilon 0.001 and the truncated normal initialisation of
    standard deviation 0.09 are those of the authors' released code (TF-Slim, `mobilenet/mobilenet.py`). The same
    deviation serves depthwise kernels: a rule by fan would read their `[3, 3, channels, 1]` as 9 `channels` inputs
    instead of 9, and start wide layers at a variance near epsilon. The head never has fewer than 1280 channels
    (section 4 of the paper); at 1.5x it has 1920. All gammas start at one, also those that end a residual block:
    zero, a usual trick there, would be ranked dead before training. With this momentum the moving statistics mean
    little before some thousand steps: measure calibrated subnets.

    Args:
        classes: Number of classes, at least 2.
        width_multiplier: Positive factor on all channels, which are then multiples of 8; 1.5 in the paper.
        small_images: True for images of 20 to 64 pixels: the stem and the 24-channel stage take stride 1 (as the
            usual CIFAR-10 versions do), so that the total stride is 8 instead of 32.
        dropout: Share of the pooled features that training hides, in [0, 1).

    Returns:
        A functional model from RGB images `[batch, height, width, 3]` in 0..255 to float32 logits `[batch, classes]`.

    Raises:
        ValueError: If `classes`, `width_multiplier` or `dropout` is out of range.
    """
    inputs, x = images()
    x = _convolution(x, scaled(_STEM_CHANNELS, width_multiplier), 3, strides=1 if small_images else 2, name="stem")
    index = 0
    for expansion, channels, blocks, stride in _STAGES:
        for block in range(blocks):
            index += 1
            strides = stride if block == 0 and not (small_images and channels == 24) else 1
            filters = scaled(channels, width_multiplier)
            x = _inverted_residual(x, filters, expansion=expansion, strides=strides, name=f"block_{index}")
    x = _convolution(x, scaled(_HEAD_CHANNELS, max(1.0, width_multiplier)), 1, strides=1, name="head")
    return classifier(inputs, x, classes=classes, dropout=dropout, name="mobilenet_v2")


def _inverted_residual(x: Any, filters: int, *, expansion: int, strides: int, name: str) -> Any:
    channels = x.shape[-1]
    block_input = x
    if expansion != 1:
        x = _convolution(x, expansion * channels, 1, strides=1, name=f"{name}_expand")
    depthwise = keras.layers.DepthwiseConv2D(
        3,
        strides=strides,
        padding="same",
        use_bias=False,
        depthwise_initializer=keras.initializers.TruncatedNormal(stddev=0.09),
        name=f"{name}_depthwise",
    )
    x = _norm_relu6(depthwise(x), name=f"{name}_depthwise")
    x = _convolution(x, filters, 1, strides=1, linear=True, name=f"{name}_project")
    if strides == 1 and filters == channels:
        return keras.layers.Add(name=f"{name}_add")([block_input, x])
    return x


def _convolution(x: Any, filters: int, kernel_size: int, *, strides: int, name: str, linear: bool = False) -> Any:
    convolution = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.09),
        name=name,
    )
    return _norm_relu6(convolution(x), name=name, linear=linear)


def _norm_relu6(x: Any, *, name: str, linear: bool = False) -> Any:
    x = keras.layers.BatchNormalization(momentum=0.997, epsilon=1e-3, name=f"{name}_bn")(x)
    return x if linear else keras.layers.ReLU(max_value=6, name=f"{name}_relu")(x)
