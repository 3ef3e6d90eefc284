"""The two ends that all built-in networks share: images in, logits out."""

from collections.abc import Sequence
from typing import Any

import keras


def images(*, scale: float | Sequence[float] = 1 / 127.5, offset: float | Sequence[float] = -1.0) -> tuple[Any, Any]:
    """Starts a network: RGB images of any size, scaled to [-1, 1] by the network itself.

    The scaling is a layer so that a network and every file exported from it take the same 0..255 images. All five
    papers only say that images are normalised; [-1, 1] is the range of MobileNet's released code. Weights trained
    elsewhere bring a scaling of their own.

    Args:
        scale: What a pixel is multiplied by: one number, or one for each of red, green and blue.
        offset: What is added then, in the same form.

    Returns:
        The symbolic input, float `[batch, height, width, 3]` in 0..255, and the scaled images of the same shape.

    Raises:
        ValueError: If Keras is configured for channels-first images.
    """
    data_format = keras.config.image_data_format()
    if data_format != "channels_last":
        raise ValueError(
            f"Expected Keras to be configured for channels_last. Received: image_data_format={data_format!r}."
        )
    inputs = keras.Input((None, None, 3), name="images")
    return inputs, keras.layers.Rescaling(scale, offset=offset, name="rescaling")(inputs)


def classifier(inputs: Any, features: Any, *, classes: int, name: str, dropout: float = 0.0) -> keras.Model:
    """Ends a network: global average pooling, then one dense layer of logits.

    The dense kernel starts as a normal distribution of standard deviation 0.01 with bias zero (the VGG paper's
    section 3.1; Goyal et al. 2017, section 5.1; US-Net's code for MobileNets), so every network starts with almost
    uniform class probabilities. The logits stay float32 under a mixed precision policy. No dropout by default: US-Net
    and MutualNet use none.

    Args:
        inputs: The symbolic input that `images` gave.
        features: The last feature map, `[batch, height, width, channels]`.
        classes: Number of classes, at least 2.
        name: The model's name.
        dropout: Share of the pooled features that training hides, in [0, 1); 0 for no such layer.

    Returns:
        A functional model from `[batch, height, width, 3]` to float32 logits `[batch, classes]`.

    Raises:
        ValueError: If `classes` is below 2 or `dropout` is out of range.
    """
    pooled = keras.layers.GlobalAveragePooling2D(name="global_pool")(features)
    return keras.Model(inputs, logits(pooled, classes=classes, dropout=dropout), name=name)


def logits(pooled: Any, *, classes: int, dropout: float = 0.0, name: str = "logits") -> Any:
    """Adds the last layers: dropout, where there is any, and the dense layer.

    Args:
        pooled: Features, `[batch, channels]`.
        classes: Number of classes, at least 2.
        dropout: As in `classifier`.
        name: The dense layer's name.

    Returns:
        The symbolic float32 logits, `[batch, classes]`.

    Raises:
        ValueError: If `classes` is below 2 or `dropout` is out of range.
    """
    if classes < 2:
        raise ValueError(f"Expected at least 2 classes. Received: classes={classes}.")
    if not 0.0 <= dropout < 1.0:
        raise ValueError(f"Expected dropout in [0, 1). Received: dropout={dropout}.")
    if dropout:
        pooled = keras.layers.Dropout(dropout, name=f"{name}_dropout")(pooled)
    return keras.layers.Dense(
        classes, kernel_initializer=keras.initializers.RandomNormal(stddev=0.01), dtype="float32", name=name
    )(pooled)
