"""BatchNormalization on TensorFlow's fused kernel, for networks that train.

Keras 3 composes the layer from elementary operations; a MobileNetV2 training step takes 1.6 times as long with it.
Only training copies of a network hold this layer: what is saved and exported is stock Keras.
"""

from typing import Any

import keras
import tensorflow as tf


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """A BatchNormalization over the last axis of `[B, H, W, C]`, with the same weights and results, but fused.

    In training, what it assigns to its moving statistics is the mean and the (biased) variance *of the batch*, not a
    moving average: under `stateless_call` the new non-trainable values are then exactly what calibration pools.
    Inputs of another rank, and options the kernel does not have, run as in stock Keras, with momentum 0.

    Attributes:
        reports_statistics: Whether training assigns them at all; where nobody reads them, they cost a graph nine nodes.
    """

    reports_statistics = True

    @property
    def reads_statistics(self) -> bool:
        """Whether training depends on the moving statistics."""
        return not self.trainable or bool(self.renorm)

    def __init__(self, **kwargs: Any):
        super().__init__(**{**kwargs, "momentum": 0.0})

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalizes by the statistics of the batch if `training`, else by the moving ones."""
        if mask is not None or not self._fits_the_kernel(inputs):
            return super().call(inputs, training=training, mask=mask)
        channels = inputs.shape[-1]
        gamma = tf.convert_to_tensor(self.gamma) if self.scale else tf.ones([channels])
        beta = tf.convert_to_tensor(self.beta) if self.center else tf.zeros([channels])
        in_training = bool(training) and self.trainable
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=gamma,
            offset=beta,
            mean=tf.zeros([0]) if in_training else tf.convert_to_tensor(self.moving_mean),
            variance=tf.zeros([0]) if in_training else tf.convert_to_tensor(self.moving_variance),
            epsilon=self.epsilon,
            is_training=in_training,
        )
        if in_training and self.reports_statistics:
            count = tf.cast(tf.size(inputs) // channels, variance.dtype)
            self.moving_mean.assign(mean)
            # The kernel reports the unbiased variance; networks are normalized by the biased one.
            self.moving_variance.assign(variance * (count - 1.0) / count)
        return outputs

    def _fits_the_kernel(self, inputs: Any) -> bool:
        image = len(inputs.shape) == 4 and self.axis in (-1, 3)
        single = self.variable_dtype == "float32" and inputs.dtype != tf.float64
        return image and single and not self.renorm and not self.synchronized
