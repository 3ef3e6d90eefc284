"""GlobalAveragePooling2D for networks that train on images of any size."""

from typing import Any

import keras
import tensorflow as tf


class KeptAveragePooling2D(keras.layers.GlobalAveragePooling2D):
    """The same average and gradient, for which no accelerator is waited for.

    The gradient of an average that gives axes up, of a map whose size is known only in the step, computes that map's
    shape on the accelerator and waits for it. One that keeps its axes is given them up by a reshape.
    """

    def call(self, inputs: Any) -> Any:
        """Averages over the height and width of a map."""
        axes = [2, 3] if self.data_format == "channels_first" else [1, 2]
        average = tf.reduce_mean(inputs, axis=axes, keepdims=True)
        return average if self.keepdims else tf.squeeze(average, axis=axes)
