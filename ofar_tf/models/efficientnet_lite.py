"""EfficientNet-Lite: EfficientNets for phones, without squeeze-and-excitation and with ReLU6, made for int8.

The networks are those of TensorFlow's `tpu/models/official/efficientnet/lite`, scaled as EfficientNet is (Tan and Le
2019, arXiv:1905.11946), except that stem and head keep their channels and the first and last stage their one block.
"""

import math
from dataclasses import dataclass

import keras

from ofar_tf.models.classifier import classifier, images
from ofar_tf.models.convolution import initializer
from ofar_tf.models.mobile_blocks import MobileBlocks
from ofar_tf.models.width import scaled

# Kernel size, expansion factor, output channels, number of blocks, stride of the first of them.
_STAGES = (
    (3, 1, 16, 1, 1), (3, 6, 24, 2, 2), (5, 6, 40, 2, 2), (3, 6, 80, 3, 2), (5, 6, 112, 3, 1), (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)  # fmt: skip
_STEM_CHANNELS = 32
_HEAD_CHANNELS = 1280


@dataclass(frozen=True)
class _Variant:
    """What makes one of the five networks: factors on channels and blocks, and the dropout it was trained with."""

    width: float
    depth: float
    dropout: float


_VARIANTS = (_Variant(1.0, 1.0, 0.2), _Variant(1.0, 1.1, 0.2), _Variant(1.1, 1.2, 0.3), _Variant(1.2, 1.4, 0.3),
             _Variant(1.4, 1.8, 0.3))  # fmt: skip


def efficientnet_lite(
    classes: int,
    *,
    variant: int = 0,
    width_multiplier: float = 1.0,
    small_images: bool = False,
    dropout: float | None = None,
) -> keras.Model:
    """Builds EfficientNet-Lite0 to Lite4.

    `same` padding, BatchNorm momentum 0.99 and epsilon 0.001, the normal initialisation of variance 2 / fan-out and the
    scaling of images, (x - 127) / 128, are those of the authors' released code. All gammas start at one.

    Args:
        classes: Number of classes, at least 2.
        variant: 0 to 4: wider and deeper, made for 224, 240, 260, 280 and 300 pixels.
        width_multiplier: Positive factor on all channels, which are then multiples of 8; the head never shrinks.
        small_images: True for images of 20 to 64 pixels: the stem and the 24-channel stage take stride 1, so that the
            total stride is 8 instead of 32.
        dropout: Share of the pooled features that training hides, in [0, 1); by default the authors', 0.2 for variants
            0 and 1 and 0.3 for the others.

    Returns:
        A functional model from RGB images `[batch, height, width, 3]` in 0..255 to float32 logits `[batch, classes]`.

    Raises:
        ValueError: If `classes`, `width_multiplier` or `dropout` is out of range, or there is no such variant.
    """
    if not 0 <= variant < len(_VARIANTS):
        raise ValueError(f"Expected a variant from 0 to {len(_VARIANTS) - 1}. Received: variant={variant}.")
    chosen = _VARIANTS[variant]
    inputs, x = images(scale=1 / 128, offset=-127 / 128)
    blocks = MobileBlocks(momentum=0.99, initializer=initializer)
    stem = scaled(_STEM_CHANNELS, width_multiplier)
    x = blocks.convolution(x, stem, 3, strides=1 if small_images else 2, name="stem")
    index = 0
    for stage, (kernel_size, expansion, channels, count, stride) in enumerate(_STAGES):
        filters = scaled(channels, chosen.width * width_multiplier)
        inner = 0 < stage < len(_STAGES) - 1
        for block in range(math.ceil(chosen.depth * count) if inner else count):
            index += 1
            strides = stride if block == 0 and not (small_images and channels == 24) else 1
            name = f"block_{index}"
            x = blocks.inverted_residual(x, filters, kernel_size, expansion=expansion, strides=strides, name=name)
    x = blocks.convolution(x, scaled(_HEAD_CHANNELS, max(1.0, width_multiplier)), 1, name="head")
    return classifier(
        inputs,
        x,
        classes=classes,
        name=f"efficientnet_lite{variant}",
        dropout=chosen.dropout if dropout is None else dropout,
    )
