"""MobileNetV1: depthwise separable convolutions (Howard et al. 2017, arXiv:1704.04861)."""

import keras

from ofar_tf.models.classifier import classifier, images
from ofar_tf.models.mobile_blocks import released_mobilenets
from ofar_tf.models.width import scaled

# Table 1 of the paper: output channels and stride of the 13 separable blocks. Its last block is printed with stride 2
# on a 7 x 7 map that stays 7 x 7, a misprint for 1.
_BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),
    (1024, 2), (1024, 1),
)  # fmt: skip
_STEM_CHANNELS = 32


def mobilenet_v1(
    classes: int, *, width_multiplier: float = 1.0, small_images: bool = False, dropout: float = 0.0
) -> keras.Model:
    """Builds MobileNetV1.

    Strides are the paper's. `same` padding, ReLU6 (the paper says ReLU), BatchNorm epsilon 0.001 and the truncated
    normal initialisation of standard deviation 0.09 are those of the authors' released code (TF-Slim,
    `mobilenet_v1.py`). The same deviation serves depthwise kernels: a rule by fan would read `[3, 3, channels, 1]` as
    9 `channels` inputs instead of 9, and start wide layers at a variance near epsilon. The released BatchNorm
    momentum of 0.9997 remembers 3,300 steps, longer than a short training lasts; we take 0.997 from MobileNetV2's. All
    gammas start at one.

    Args:
        classes: Number of classes, at least 2.
        width_multiplier: Positive factor on all channels, which are then multiples of 8; 1.5 in the paper.
        small_images: True for images of 20 to 64 pixels: the stem and the first of the strided blocks (128 channels)
            take stride 1, so that the total stride is 8 instead of 32.
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
    for index, (channels, stride) in enumerate(_BLOCKS, start=1):
        strides = 1 if small_images and channels == 128 else stride
        x = blocks.depthwise(x, 3, strides=strides, name=f"block_{index}_depthwise")
        x = blocks.convolution(x, scaled(channels, width_multiplier), 1, name=f"block_{index}_pointwise")
    return classifier(inputs, x, classes=classes, dropout=dropout, name="mobilenet_v1")
