"""BatchNorm calibration: exact statistics for one network at one resolution (DESIGN D17).

Shared weights mean different activations in every structure and at every resolution, so each gets statistics of its
own, as in US-Net: the network runs in training mode over many batches and the statistics of its batches are pooled as
if all images had been one batch.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.data import resize_batch
from ofar_tf.deploy.accuracy import Accuracy, label_ranks
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.functional_model import flat_layers
from ofar_tf.pruning.slicing import kept_indices, mask_array, slice_array
from ofar_tf.pruning.subnet import build_subnet


class PooledStatistics:
    """Pools the means and variances of batches into those of all images.

    The variance of all images is the mean of the batches' variances plus the variance of their means. Sums are float64.
    """

    def __init__(self) -> None:
        self._images = 0
        self._sums: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, moments: Sequence[tuple[Any, Any]], *, images: int) -> None:
        """Adds one batch.

        Args:
            moments: For each BatchNorm, the batch's mean and biased variance, `[C]` each.
            images: How many images the batch holds.
        """
        values = [(np.asarray(mean, np.float64), np.asarray(variance, np.float64)) for mean, variance in moments]
        terms = [(images * mean, images * (variance + mean**2)) for mean, variance in values]
        self._sums = [(a + c, b + d) for (a, b), (c, d) in zip(self._sums, terms, strict=True)] if self._sums else terms
        self._images += images

    def result(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Returns the float32 mean and biased variance of all images, for each BatchNorm.

        Raises:
            ValueError: If no batch was added.
        """
        if not self._images:
            raise ValueError("Expected at least one image to calibrate BatchNorm with. Received: none.")
        means = [(first / self._images, second / self._images) for first, second in self._sums]
        return [(m.astype(np.float32), np.maximum(s - m**2, 0.0).astype(np.float32)) for m, s in means]


class CalibratedNetwork:
    """One network of the pool, run on compact weights at any resolution with statistics of its own for each.

    Weights are read when `refresh` is called.

    Args:
        supernet: The whole network.
        groups: Its channel groups.
        mask: The channels this network keeps.
        weights: The variables it is cut out of, if not the supernet's, in their order (`PoolWeights.of`).
    """

    def __init__(
        self,
        supernet: keras.Model,
        groups: ChannelGroups,
        mask: ChannelMask,
        *,
        weights: Sequence[Any] | None = None,
    ):
        self._weights = supernet.weights if weights is None else weights
        self._groups = groups
        self._indices = kept_indices(groups, mask)
        self._network = _without_noise(build_subnet(supernet, groups, mask, trainable_copy=True))
        self._norms = [
            layer for layer in flat_layers(self._network) if isinstance(layer, keras.layers.BatchNormalization)
        ]
        images, resolution = tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([], tf.int32)
        statistics = [(tf.TensorSpec([norm.moving_mean.shape[0]]),) * 2 for norm in self._norms]
        self._training = tf.function(self._run_in_training, input_signature=[images, resolution])
        self._logits = tf.function(self._inference, input_signature=[images, resolution, statistics])
        self._pooled: dict[int, PooledStatistics] = {}
        self.refresh()

    def refresh(self, masked_by: ChannelMask | None = None) -> None:
        """Takes over the present weights and forgets all statistics.

        Args:
            masked_by: Zeroes the channels that this mask drops: how networks run while their masks still change.
        """
        entries = zip(self._weights, self._network.weights, self._indices, self._groups.weights, strict=True)
        for whole, narrow, indices, entry in entries:
            value = np.asarray(whole)
            if masked_by is not None:
                value = mask_array(value, entry, masked_by)
            narrow.assign(slice_array(value, indices))
        self._pooled = {}

    def observe(self, images: Any, *, resolution: int) -> None:
        """Adds a batch to the statistics of a resolution.

        Args:
            images: float32 `[B, R, R, 3]` at the largest resolution, 0..255.
            resolution: Pixels, at most R.
        """
        _, moments = self._training(images, tf.constant(resolution))
        self._pooled.setdefault(resolution, PooledStatistics()).add(moments, images=len(images))

    def logits(self, images: Any, *, resolution: int) -> np.ndarray:
        """Returns float32 `[B, K]` for images `[B, R, R, 3]`, normalized by the statistics of that resolution.

        Raises:
            ValueError: If nothing was observed at that resolution.
        """
        return np.asarray(self._logits(images, tf.constant(resolution), self._statistics(resolution)), np.float32)

    def logits_in_training(self, images: Any, *, resolution: int) -> np.ndarray:
        """Returns float32 `[B, K]` for images `[B, R, R, 3]`, normalized by the statistics of these very images."""
        return np.asarray(self._training(images, tf.constant(resolution))[0], np.float32)

    def copy_to(self, subnet: keras.Model, *, resolution: int) -> None:
        """Assigns the weights and the statistics of a resolution to a stock Keras copy of this network."""
        statistics = self._states(self._statistics(resolution))
        values = {id(v): state for v, state in zip(self._network.non_trainable_variables, statistics, strict=True)}
        for source, target in zip(self._network.weights, subnet.weights, strict=True):
            target.assign(np.asarray(values.get(id(source), source)))

    def _statistics(self, resolution: int) -> list[tuple[np.ndarray, np.ndarray]]:
        return self._pooled.get(resolution, PooledStatistics()).result()

    def _states(self, statistics: Sequence[tuple[Any, Any]]) -> list[Any]:
        """The values of the network's non-trainable variables, with these statistics in their places."""
        values: dict[int, Any] = {}
        for norm, (mean, variance) in zip(self._norms, statistics, strict=True):
            values[id(norm.moving_mean)], values[id(norm.moving_variance)] = mean, variance
        return [values.get(id(variable), variable.value) for variable in self._network.non_trainable_variables]

    def _run_in_training(self, images: Any, resolution: Any) -> tuple[Any, list[tuple[Any, Any]]]:
        network = self._network
        values = [variable.value for variable in network.trainable_variables]
        states = [variable.value for variable in network.non_trainable_variables]
        logits, updated = network.stateless_call(values, states, resize_batch(images, resolution), training=True)
        # The fused BatchNorm has momentum 0: its updated moving statistics are those of the batch.
        new = {id(variable): value for variable, value in zip(network.non_trainable_variables, updated, strict=True)}
        moments = [
            (new.get(id(norm.moving_mean), norm.moving_mean), new.get(id(norm.moving_variance), norm.moving_variance))
            for norm in self._norms
        ]
        return logits, moments

    def _inference(self, images: Any, resolution: Any, statistics: Any) -> Any:
        values = [variable.value for variable in self._network.trainable_variables]
        states = self._states(statistics)
        logits, _ = self._network.stateless_call(values, states, resize_batch(images, resolution), training=False)
        return logits


def _without_noise(network: keras.Model) -> keras.Model:
    """Turns random layers off: statistics describe the network that is shipped, which has none."""
    for layer in flat_layers(network):
        if hasattr(layer, "rate"):
            layer.rate = 0.0
        if isinstance(layer, keras.layers.GaussianNoise):
            layer.stddev = 0.0
    return network


def calibrate(networks: Sequence[CalibratedNetwork], batches: Iterable[Any], *, resolutions: Sequence[int]) -> None:
    """Calibrates several networks at several resolutions in one pass over the images.

    Args:
        networks: The networks.
        batches: (images float32 `[B, R, R, 3]`, labels); labels are ignored.
        resolutions: Pixels, each at most R.
    """
    for images, _ in batches:
        for network in networks:
            for resolution in resolutions:
                network.observe(images, resolution=resolution)


def evaluate(
    networks: Sequence[CalibratedNetwork], batches: Iterable[Any], *, resolutions: Sequence[int]
) -> Mapping[tuple[int, int], Accuracy]:
    """Measures several calibrated networks at several resolutions in one pass over the images.

    Args:
        networks: The networks, calibrated at these resolutions.
        batches: (images float32 `[B, R, R, 3]` at the largest resolution, labels int `[B]`).
        resolutions: Pixels, each at most R.

    Returns:
        The accuracy for each (position of the network, resolution).

    Raises:
        ValueError: If there are no images.
    """
    ranks: dict[tuple[int, int], list[np.ndarray]] = defaultdict(list)
    for images, labels in batches:
        for index, network in enumerate(networks):
            for resolution in resolutions:
                logits = network.logits(images, resolution=resolution)
                ranks[index, resolution].append(label_ranks(logits, np.asarray(labels)))
    if not ranks:
        raise ValueError("Expected at least one image to measure accuracy on. Received: none.")
    return {key: _accuracy(np.concatenate(parts)) for key, parts in ranks.items()}


def _accuracy(ranks: np.ndarray) -> Accuracy:
    return Accuracy(top1=float(np.mean(ranks < 1)), top5=float(np.mean(ranks < 5)), images=len(ranks))
