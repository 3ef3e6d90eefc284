"""The network of `test_distribution`, `--model=distributed_model:build`, and the death of a process that trains it."""

import os
import signal

import keras

from ofar_tf.search.mask_search import MaskSearch


def build(classes: int) -> keras.Model:
    """Convolutions, and dropout, whose noise must be the same however a batch is shared out."""
    if "DIES_IN_EPOCH" in os.environ:
        fatal = int(os.environ["DIES_IN_EPOCH"]) - 1
        MaskSearch.on_epoch_begin = lambda self, epoch, logs=None: (
            epoch == fatal and os.kill(os.getpid(), signal.SIGKILL)
        )
    layers = keras.layers
    image = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, layers.Dense(classes)(x), name="tiny")
