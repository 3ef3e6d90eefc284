"""How much the loss depends on each channel, to first order: what the criteria of Taylor rank by."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ofar_tf.pruning.channel_groups import ChannelGroups


class GateSensitivity:
    """Reads off the gradients of the weights how much the loss would change if a channel were missing.

    Put a gate of 1 on a channel where kernels read it: the loss changes by the derivative of the gate when it closes,
    to first order, and that derivative is the sum of weight times gradient over all that reads the channel (Molchanov
    et al., 'Importance Estimation for Neural Network Pruning', 2019). So no gates are needed, and no second pass.

    Args:
        supernet: The functional model.
        groups: Its channel groups.

    Attributes:
        size: How many prunable channels there are.
    """

    def __init__(self, supernet: Any, groups: ChannelGroups):
        self.size = groups.size
        self._variables = list(supernet.trainable_variables)
        position = {id(weight): index for index, weight in enumerate(supernet.weights)}
        entries = [groups.weights[position[id(variable)]] for variable in self._variables]
        # Of the two kernels of a separable convolution, which say the same, one counts.
        self._reads = [
            (number, axis, channels)
            for number, entry in enumerate(entries)
            if len(entry.shape) > 1 and not entry.path.endswith("/depthwise_kernel")
            for axis, channels in entry.axes.items()
            if axis not in entry.feeds
        ]

    def __call__(self, gradients: Sequence[Any]) -> tf.Tensor:
        """Computes the sensitivity of one network on one batch.

        Args:
            gradients: One tensor for each trainable variable of the supernet.

        Returns:
            float32 `[channels]`, at least 0.
        """
        total = tf.zeros([self.size + 1])
        for number, axis, channels in self._reads:
            product = tf.convert_to_tensor(self._variables[number]) * gradients[number]
            others = [other for other in range(len(product.shape)) if other != axis]
            total += tf.math.unsorted_segment_sum(
                tf.reduce_sum(product, axis=others), channels.astype(np.int32), self.size + 1
            )
        return tf.abs(total[:-1])
