"""MobileNetV2: inverted residuals with linear bottlenecks (Sandler et al. 2018, arXiv:1801.04381)."""

import keras

from ofar_tf.models.classifier import classifier, images
from ofar_tf.models.mobile_blocks import released_mobilenets
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
    blocks = released_mobilenets()
    stem = scaled(_STEM_CHANNELS, width_multiplier)
    x = blocks.convolution(x, stem, 3, strides=1 if small_images else 2, name="stem")
    index = 0
    for expansion, channels, count, stride in _STAGES:
        for block in range(count):
            index += 1
            strides = stride if block == 0 and not (small_images and channels == 24) else 1
            filters = scaled(channels, width_multiplier)
            x = blocks.inverted_residual(x, filters, 3, expansion=expansion, strides=strides, name=f"block_{index}")
    x = blocks.convolution(x, scaled(_HEAD_CHANNELS, max(1.0, width_multiplier)), 1, name="head")
    return classifier(inputs, x, classes=classes, dropout=dropout, name="mobilenet_v2")
