"""What BatchNorm sees of a batch, while everything else runs as it will when it is shipped."""

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from ofar_tf.models.functional_graph import inner_layers

Moments = tuple[Any, Any]


class BatchStatistics:
    """Runs a network in inference, except that BatchNorm normalizes by the batch, and notes what it normalized by.

    So dropout, noise and augmentation inside a network are off, whoever wrote these layers. A
    frozen BatchNorm (`trainable=False`) runs in inference too, as in training.

    Args:
        network: A functional model. Its BatchNorms get momentum 0.

    Attributes:
        norms: All BatchNorms of the network, those inside of other layers included.
    """

    def __init__(self, network: keras.Model):
        self.norms = [each for each in inner_layers(network) if isinstance(each, keras.layers.BatchNormalization)]
        for norm in self.norms:
            norm.momentum = 0.0  # What it assigns to its moving statistics is then what it saw of the batch.
        self._network = network

    def run(self, values: Sequence[Any], states: Sequence[Any], images: Any) -> tuple[Any, list[Moments]]:
        """Runs a batch.

        Args:
            values: The values of the network's trainable variables.
            states: Those of its other variables.
            images: The batch.

        Returns:
            The outputs; and, for each of `norms`, the mean and biased variance `[C]` of what it normalized. One that is
            called several times reports those of all its calls together.
        """
        seen: dict[int, list[tuple[Any, Moments]]] = {id(norm): [] for norm in self.norms}
        with self._observing(seen):
            outputs, _ = self._network.stateless_call(values, states, images, training=False)
        kept = {id(v): state for v, state in zip(self._network.non_trainable_variables, states, strict=True)}
        return outputs, [
            _together(seen[id(norm)]) or (kept[id(norm.moving_mean)], kept[id(norm.moving_variance)])
            for norm in self.norms
        ]

    @contextlib.contextmanager
    def _observing(self, seen: dict[int, list[tuple[Any, Moments]]]) -> Iterator[None]:
        # Keras has one training mode for all layers of a call, so these are told one by one.
        for norm in self.norms:
            norm.call = partial(_call_in_training, norm, seen[id(norm)])
        try:
            yield
        finally:
            for norm in self.norms:
                del norm.call


def _call_in_training(
    norm: Any, seen: list[tuple[Any, Moments]], inputs: Any, training: Any = None, mask: Any = None
) -> Any:
    # A class of the user's may have a call without a mask, which images never have.
    outputs = type(norm).call(norm, inputs, training=True, **({} if mask is None else {"mask": mask}))
    channels = norm.moving_mean.shape[0]
    count = tf.cast(tf.size(inputs) // channels, tf.float32)
    seen.append((count, (norm.moving_mean.value, norm.moving_variance.value)))
    return outputs


def _together(seen: Sequence[tuple[Any, Moments]]) -> Moments | None:
    """The moments of several sets of numbers as if they were one."""
    if len(seen) < 2:
        return seen[0][1] if seen else None
    total = tf.add_n([count for count, _ in seen])
    mean = tf.add_n([count / total * mean for count, (mean, _) in seen])
    second = tf.add_n([count / total * (variance + mean**2) for count, (mean, variance) in seen])
    return mean, second - mean**2
