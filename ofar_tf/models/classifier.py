"""The two ends that all built-in networks share: images in, logits out."""

from typing import Any

import keras


def images() -> tuple[Any, Any]:
    """Starts a network: RGB images of any size, scaled to [-1, 1] by the network itself.

    The scaling is a layer so that a network and every file exported from it take the same 0..255 images. All five
    papers only say that images are normalised; [-1, 1] is the range of MobileNet's released code.

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
    return inputs, keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(inputs)


def classifier(inputs: Any, features: Any, *, classes: int, name: str) -> keras.Model:
    """Ends a network: global average pooling, then one dense layer of logits.

    The dense kernel starts as a normal distribution of standard deviation 0.01 with bias zero (the VGG paper's
    section 3.1; Goyal et al. 2017, section 5.1; US-Net's code for MobileNets), so every network starts with almost
    uniform class probabilities. The logits stay float32 under a mixed precision policy. No dropout: US-Net and
    MutualNet use none.

    Args:
        inputs: The symbolic input that `images` gave.
        features: The last feature map, `[batch, height, width, channels]`.
        classes: Number of classes, at least 2.
        name: The model's name.

    Returns:
        A functional model from `[batch, height, width, 3]` to float32 logits `[batch, classes]`.

    Raises:
        ValueError: If `classes` is below 2.
    """
    if classes < 2:
        raise ValueError(f"Expected at least 2 classes. Received: classes={classes}.")
    pooled = keras.layers.GlobalAveragePooling2D(name="global_pool")(features)
    logits = keras.layers.Dense(
        classes, kernel_initializer=keras.initializers.RandomNormal(stddev=0.01), dtype="float32", name="logits"
    )
    return keras.Model(inputs, logits(pooled), name=name)
