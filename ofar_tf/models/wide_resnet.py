"""Wide residual networks for CIFAR (Zagoruyko and Komodakis 2016, arXiv:1605.07146)."""

from typing import Any

import keras

from ofar_tf.models.classifier import classifier, images
from ofar_tf.models.convolution import convolution

# Channels at width 1 and stride of the three groups (table 1 of the paper).
_GROUPS = ((16, 1), (32, 2), (64, 2))
_STEM_CHANNELS = 16


def wide_resnet(classes: int, *, depth: int = 28, width: int = 10, dropout: float = 0.0) -> keras.Model:
    """Builds WRN-depth-width, of pre-activation blocks with two 3 x 3 convolutions each, without dropout.

    BatchNorm momentum 0.9 and epsilon 1e-5 and the normal initialisation of variance 2 / fan-out are those of the
    authors' released code; the shortcut of a group's first block is a 1 x 1 convolution of the activated input, as
    there. All gammas start at one: zero would be ranked dead before training. The total stride is 4.

    Args:
        classes: Number of classes, at least 2.
        depth: Number of convolutions, the shortcuts of the three groups included: 6n + 4 with n at least 1.
        width: Factor on the 16, 32 and 64 channels of the groups, at least 1; the stem keeps 16.
        dropout: Share of the pooled features that training hides, in [0, 1).

    Returns:
        A functional model from RGB images `[batch, height, width, 3]` in 0..255 to float32 logits `[batch, classes]`.

    Raises:
        ValueError: If `classes`, `width` or `dropout` is out of range, or the depth is not 6n + 4.
    """
    if depth < 10 or depth % 6 != 4:
        raise ValueError(f"Expected a depth of 6n + 4 such as 10, 16, 28 or 40. Received: depth={depth}.")
    if width < 1:
        raise ValueError(f"Expected a width of at least 1. Received: width={width}.")
    inputs, x = images()
    x = convolution(x, _STEM_CHANNELS, 3, name="stem")
    for group, (channels, stride) in enumerate(_GROUPS, start=1):
        for block in range(1, (depth - 4) // 6 + 1):
            strides = stride if block == 1 else 1
            x = _residual(x, width * channels, strides=strides, name=f"group{group}_block{block}")
    return classifier(
        inputs, _norm_relu(x, name="head"), classes=classes, dropout=dropout, name=f"wide_resnet_{depth}_{width}"
    )


def _residual(x: Any, filters: int, *, strides: int, name: str) -> Any:
    activated = _norm_relu(x, name=f"{name}_pre1")
    shortcut = x
    if strides != 1 or x.shape[-1] != filters:
        shortcut = convolution(activated, filters, 1, strides=strides, name=f"{name}_shortcut")
    x = convolution(activated, filters, 3, strides=strides, name=f"{name}_conv1")
    x = convolution(_norm_relu(x, name=f"{name}_pre2"), filters, 3, name=f"{name}_conv2")
    return keras.layers.Add(name=f"{name}_add")([shortcut, x])


def _norm_relu(x: Any, *, name: str) -> Any:
    x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)
