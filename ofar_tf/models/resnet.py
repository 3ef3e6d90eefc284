"""Residual networks (He et al. 2015, arXiv:1512.03385): ResNet-50 for ImageNet, ResNet-20 and its kin for CIFAR.

Both follow the paper's released kin, `fb.resnet.torch`: BatchNorm momentum 0.9 and epsilon 1e-5, convolutions
initialised from a normal distribution of variance 2 / fan-out (He et al. 2015, arXiv:1502.01852, section 2.2). `same`
padding puts the odd pixel of a strided layer at the bottom right, where Torch pads both sides; the costs are equal. All
gammas start at one, also those that end a residual block: zero, a usual trick there, would be ranked dead before
training.
"""

from collections.abc import Callable
from typing import Any, Literal

import keras

from ofar_tf.models.classifier import classifier, images
from ofar_tf.models.convolution import normed_convolution
from ofar_tf.models.width import scaled

# Channels of a stage's 3 x 3 convolutions, blocks in the stage, stride of its first block (tables 1 and section 4.2).
_IMAGENET_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
_CIFAR_STAGES = ((16, 1), (32, 2), (64, 2))
_BOTTLENECK_EXPANSION = 4


def resnet50(
    classes: int,
    *,
    version: Literal["v1", "v1.5"] = "v1.5",
    width_multiplier: float = 1.0,
    small_images: bool = False,
    dropout: float = 0.0,
) -> keras.Model:
    """Builds ResNet-50.

    Args:
        classes: Number of classes, at least 2.
        version: Where a stage's first block strides: in its 3 x 3 convolution (`v1.5`, as `fb.resnet.torch` and all
            peers of the paper do) or in its first 1 x 1 convolution (`v1`, as He et al. print it).
        width_multiplier: Positive factor on all channels, which are then multiples of 8.
        small_images: True for images of 20 to 64 pixels: a 3 x 3 stem of stride 1 without max pooling (as the usual
            CIFAR-10 versions do), so that the total stride is 8 instead of 32.
        dropout: Share of the pooled features that training hides, in [0, 1).

    Returns:
        A functional model from RGB images `[batch, height, width, 3]` in 0..255 to float32 logits `[batch, classes]`.

    Raises:
        ValueError: If `classes`, `width_multiplier` or `dropout` is out of range, or the version is unknown.
    """
    if version not in ("v1", "v1.5"):
        raise ValueError(f"Expected version 'v1' or 'v1.5'. Received: version={version!r}.")
    inputs, x = images()
    stem_channels = scaled(64, width_multiplier)
    if small_images:
        x = normed_convolution(x, stem_channels, 3, name="stem")
    else:
        x = normed_convolution(x, stem_channels, 7, strides=2, name="stem")
        x = keras.layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)

    def bottleneck(x: Any, filters: int, *, strides: int, name: str) -> Any:
        first, second = (strides, 1) if version == "v1" else (1, strides)
        x = normed_convolution(x, filters, 1, strides=first, name=f"{name}_conv1")
        x = normed_convolution(x, filters, 3, strides=second, name=f"{name}_conv2")
        return normed_convolution(x, _BOTTLENECK_EXPANSION * filters, 1, linear=True, name=f"{name}_conv3")

    for stage, (channels, blocks, stride) in enumerate(_IMAGENET_STAGES, start=1):
        x = _stage(
            x, bottleneck, scaled(channels, width_multiplier), blocks=blocks, stride=stride, name=f"stage{stage}"
        )
    return classifier(
        inputs, x, classes=classes, dropout=dropout, name="resnet50" if version == "v1.5" else "resnet50_v1"
    )


def cifar_resnet(classes: int, *, depth: int = 20, width_multiplier: float = 1.0, dropout: float = 0.0) -> keras.Model:
    """Builds the paper's residual network for 32-pixel images: ResNet-20, 32, 44, 56, 110 and so on.

    Where the shape changes, the shortcut is a 1 x 1 convolution (the paper's option B) instead of a subsampling padded
    with zero channels (option A, section 4.2): the latter is no stock layer, and costs ResNet-20 40.6 instead of 40.8
    million multiply-adds. The total stride is 4.

    Args:
        classes: Number of classes, at least 2.
        depth: Number of layers with weights outside the shortcuts, 6n + 2 with n at least 1.
        width_multiplier: Positive factor on the 16, 32 and 64 channels, which are then multiples of 8.
        dropout: Share of the pooled features that training hides, in [0, 1).

    Returns:
        A functional model from RGB images `[batch, height, width, 3]` in 0..255 to float32 logits `[batch, classes]`.

    Raises:
        ValueError: If `classes`, `width_multiplier` or `dropout` is out of range, or the depth is not 6n + 2.
    """
    if depth < 8 or depth % 6 != 2:
        raise ValueError(f"Expected a depth of 6n + 2 such as 20, 32, 56 or 110. Received: depth={depth}.")
    inputs, x = images()
    x = normed_convolution(x, scaled(16, width_multiplier), 3, name="stem")

    def basic(x: Any, filters: int, *, strides: int, name: str) -> Any:
        x = normed_convolution(x, filters, 3, strides=strides, name=f"{name}_conv1")
        return normed_convolution(x, filters, 3, linear=True, name=f"{name}_conv2")

    for stage, (channels, stride) in enumerate(_CIFAR_STAGES, start=1):
        filters = scaled(channels, width_multiplier)
        x = _stage(x, basic, filters, blocks=(depth - 2) // 6, stride=stride, name=f"stage{stage}")
    return classifier(inputs, x, classes=classes, dropout=dropout, name=f"resnet{depth}")


def _stage(x: Any, branch: Callable[..., Any], filters: int, *, blocks: int, stride: int, name: str) -> Any:
    for block in range(1, blocks + 1):
        x = _residual(x, branch, filters, strides=stride if block == 1 else 1, name=f"{name}_block{block}")
    return x


def _residual(x: Any, branch: Callable[..., Any], filters: int, *, strides: int, name: str) -> Any:
    shortcut = x
    x = branch(x, filters, strides=strides, name=name)
    if strides != 1 or shortcut.shape[-1] != x.shape[-1]:
        shortcut = normed_convolution(shortcut, x.shape[-1], 1, strides=strides, linear=True, name=f"{name}_shortcut")
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return keras.layers.ReLU(name=f"{name}_relu")(x)
