"""VGG-16 (Simonyan and Zisserman 2014, arXiv:1409.1556) with BatchNorm and global pooling."""

import keras

from ofar_tf.models.classifier import classifier, images
from ofar_tf.models.convolution import normed_convolution
from ofar_tf.models.width import scaled

# Configuration D of the paper's table 1: channels and number of convolutions of the five stages.
_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def vgg16(
    classes: int, *, width_multiplier: float = 1.0, small_images: bool = False, dropout: float = 0.0
) -> keras.Model:
    """Builds VGG-16's 13 convolutions, each with BatchNorm, and one dense layer after global pooling.

    The paper has neither BatchNorm nor global pooling: both are what pruning (Network Slimming) and detection take, and
    the three dense layers that they replace would fix the resolution. BatchNorm momentum 0.9 and epsilon 1e-5 and the
    normal initialisation of variance 2 / fan-out are those of torchvision's `vgg16_bn`. The 2 x 2 max pooling drops
    odd rows and columns, as the paper's does. All gammas start at one.

    Args:
        classes: Number of classes, at least 2.
        width_multiplier: Positive factor on all channels, which are then multiples of 8.
        small_images: True for images of 20 to 64 pixels: no pooling after the last stage (as Network Slimming's
            version for CIFAR does), so that the total stride is 16 instead of 32.
        dropout: Share of the pooled features that training hides, in [0, 1).

    Returns:
        A functional model from RGB images `[batch, height, width, 3]` in 0..255 to float32 logits `[batch, classes]`.

    Raises:
        ValueError: If `classes`, `width_multiplier` or `dropout` is out of range.
    """
    inputs, x = images()
    for stage, (channels, convolutions) in enumerate(_STAGES, start=1):
        for number in range(1, convolutions + 1):
            x = normed_convolution(x, scaled(channels, width_multiplier), 3, name=f"stage{stage}_conv{number}")
        if not (small_images and stage == len(_STAGES)):
            x = keras.layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
    return classifier(inputs, x, classes=classes, dropout=dropout, name="vgg16")
