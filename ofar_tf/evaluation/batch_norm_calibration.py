"""BatchNorm calibration: exact statistics for one network at one resolution (DESIGN D17).

Shared weights mean different activations in every structure and at every resolution, so each gets statistics of its
own, as in US-Net: the network runs in training mode over many batches and the statistics of its batches are pooled as
if all images had been one batch.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.data import resize_batch
from ofar_tf.devices.replicas import Replicas
from ofar_tf.evaluation.accuracy import Accuracy, label_ranks
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.functional_model import flat_layers
from ofar_tf.pruning.slicing import kept_indices, mask_array, slice_array
from ofar_tf.pruning.subnet import build_subnet

Statistics = Sequence[tuple[np.ndarray, np.ndarray]]
"""Mean and biased variance of each BatchNorm of a network, float32 `[C]` each, in the order of its layers."""


class PooledStatistics:
    """Pools the means and variances of batches into those of all images.

    The variance of all images is the mean of the batches' variances plus the variance of their means. Sums are float64.

    Args:
        channels: How many channels each BatchNorm has.
    """

    def __init__(self, channels: Sequence[int]):
        self._channels = channels
        # Images; then, for each BatchNorm in turn, the sums over the images of the mean and of the second moment.
        self._sums = np.zeros(1 + 2 * sum(channels))

    def add(self, moments: Sequence[tuple[Any, Any]], *, images: int) -> None:
        """Adds one batch.

        Args:
            moments: For each BatchNorm, the batch's mean and biased variance, `[C]` each.
            images: How many images the batch holds.
        """
        values = [(np.asarray(mean, np.float64), np.asarray(variance, np.float64)) for mean, variance in moments]
        terms = [term for mean, variance in values for term in (mean, variance + mean**2)]
        self._sums += images * np.concatenate([[1.0], *terms])

    def share(self, total: Callable[[np.ndarray], np.ndarray]) -> None:
        """Adds up what several processes have pooled.

        Args:
            total: Sums an array over the processes.
        """
        self._sums = total(self._sums)

    def result(self) -> Statistics:
        """Returns the float32 mean and biased variance of all images, for each BatchNorm.

        Raises:
            ValueError: If no batch was added.
        """
        images, *_ = self._sums
        if not images:
            raise ValueError("Expected at least one image to calibrate BatchNorm with. Received: none.")
        means = iter(np.split(self._sums[1:] / images, np.cumsum(np.repeat(self._channels, 2)))[:-1])
        return [
            (mean.astype(np.float32), np.maximum(second - mean**2, 0.0).astype(np.float32))
            for mean, second in zip(means, means, strict=True)
        ]


class CalibratedNetwork:
    """One network of the pool, run on compact weights at any resolution with statistics of its own for each.

    Weights are read when `refresh` is called.

    Args:
        supernet: The whole network.
        groups: Its channel groups.
        mask: The channels this network keeps.
        weights: The variables it is cut out of, if not the supernet's, in their order (`PoolWeights.of`).
        replicas: The devices that it runs on; by default those of the present scope.

    Attributes:
        replicas: The same.
    """

    def __init__(
        self,
        supernet: keras.Model,
        groups: ChannelGroups,
        mask: ChannelMask,
        *,
        weights: Sequence[Any] | None = None,
        replicas: Replicas | None = None,
    ):
        self._weights = supernet.weights if weights is None else weights
        self._groups = groups
        self._indices = kept_indices(groups, mask)
        self.replicas = replicas or Replicas()
        with self.replicas.strategy.scope():
            self._network = _without_noise(build_subnet(supernet, groups, mask, trainable_copy=True))
        self._norms = [
            layer for layer in flat_layers(self._network) if isinstance(layer, keras.layers.BatchNormalization)
        ]
        self._channels = [norm.moving_mean.shape[0] for norm in self._norms]
        images, resolution = tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([], tf.int32)
        statistics = [(tf.TensorSpec([channels]),) * 2 for channels in self._channels]
        self._training = self.replicas.traced(self._run_in_training, images, resolution)
        self._logits = self.replicas.traced(self._inference, images, resolution, statistics)
        self._pooled: dict[int, PooledStatistics] = {}
        self._adopted: dict[int, Statistics] = {}
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
        self._pooled, self._adopted = {}, {}

    def observe(self, batches: Sequence[Any], *, resolution: int) -> None:
        """Adds a group of batches to the statistics of a resolution.

        Args:
            batches: float32 `[B, R, R, 3]` at the largest resolution, 0..255; as many as there are devices, or fewer.
            resolution: Pixels, at most R.
        """
        results = self._training(batches, tf.constant(resolution))
        for (_, moments), images in zip(results, batches, strict=True):
            self._pooled_at(resolution).add(moments, images=len(images))

    def share_statistics(self, *, resolution: int) -> None:
        """Adds up what the processes of the strategy observed; all of them must call this."""
        self._pooled_at(resolution).share(self.replicas.total)

    def _pooled_at(self, resolution: int) -> PooledStatistics:
        return self._pooled.setdefault(resolution, PooledStatistics(self._channels))

    def all_logits(self, batches: Sequence[Any], *, resolution: int) -> list[np.ndarray]:
        """Returns float32 `[B, K]` for each batch of a group, normalized by the statistics of that resolution.

        Args:
            batches: As in `observe`.
            resolution: Pixels, at most R.

        Raises:
            ValueError: If nothing was observed at that resolution.
        """
        statistics = list(self.statistics(resolution))
        return [np.asarray(x, np.float32) for x in self._logits(batches, tf.constant(resolution), statistics)]

    def logits(self, images: Any, *, resolution: int) -> np.ndarray:
        """Returns float32 `[B, K]` for images `[B, R, R, 3]`, as `all_logits` does for a group of batches."""
        return self.all_logits([images], resolution=resolution)[0]

    def logits_in_training(self, images: Any, *, resolution: int) -> np.ndarray:
        """Returns float32 `[B, K]` for images `[B, R, R, 3]`, normalized by the statistics of these very images."""
        ((logits, _),) = self._training([images], tf.constant(resolution))
        return np.asarray(logits, np.float32)

    def copy_to(self, subnet: keras.Model, *, resolution: int) -> None:
        """Assigns the weights and the statistics of a resolution to a stock Keras copy of this network."""
        statistics = self._states(self.statistics(resolution))
        values = {id(v): state for v, state in zip(self._network.non_trainable_variables, statistics, strict=True)}
        for source, target in zip(self._network.weights, subnet.weights, strict=True):
            target.assign(np.asarray(values.get(id(source), source)))

    def statistics(self, resolution: int) -> Statistics:
        """Returns the statistics of a resolution.

        Args:
            resolution: Pixels.

        Raises:
            ValueError: If there are none.
        """
        return self._adopted[resolution] if resolution in self._adopted else self._pooled_at(resolution).result()

    def adopt(self, statistics: Statistics, *, resolution: int) -> None:
        """Takes statistics of the same network that were found before, in the place of observing.

        Args:
            statistics: What `statistics` returned.
            resolution: Pixels.

        Raises:
            ValueError: If they are those of another network.
        """
        received = [len(mean) for mean, _ in statistics]
        if received != self._channels:
            raise ValueError(f"Expected statistics of {self._channels} channels. Received: of {received}.")
        self._adopted[resolution] = statistics

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
        networks: The networks, at least one, all on the same devices.
        batches: (images float32 `[B, R, R, 3]`, labels); labels are ignored. Of several processes each gives its own.
        resolutions: Pixels, each at most R.
    """
    pairs = list(product(networks, resolutions))
    for group in networks[0].replicas.groups(batches):
        images = [batch[0] for batch in group]
        for network, resolution in pairs:
            network.observe(images, resolution=resolution)
    for network, resolution in pairs:
        network.share_statistics(resolution=resolution)


def evaluate(
    networks: Sequence[CalibratedNetwork], batches: Iterable[Any], *, resolutions: Sequence[int]
) -> Mapping[tuple[int, int], Accuracy]:
    """Measures several calibrated networks at several resolutions in one pass over the images.

    Args:
        networks: The networks, calibrated at these resolutions, at least one, all on the same devices.
        batches: (images float32 `[B, R, R, 3]` at the largest resolution, labels int `[B]`). Of several processes each
            gives its own, and the accuracies are those on all of them.
        resolutions: Pixels, each at most R.

    Returns:
        The accuracy for each (position of the network, resolution).

    Raises:
        ValueError: If there are no images.
    """
    replicas, keys = networks[0].replicas, list(product(range(len(networks)), resolutions))
    # For each key the number of images, of right first guesses, and of right guesses among the first five.
    counts = np.zeros((len(keys), 3))
    for group in replicas.groups(batches):
        images = [batch[0] for batch in group]
        for (index, resolution), count in zip(keys, counts, strict=True):
            for logits, (_, labels) in zip(
                networks[index].all_logits(images, resolution=resolution), group, strict=True
            ):
                ranks = label_ranks(logits, np.asarray(labels))
                count += np.array([len(ranks), np.sum(ranks < 1), np.sum(ranks < 5)])
    return {key: _accuracy(*count) for key, count in zip(keys, replicas.total(counts), strict=True)}


def _accuracy(images: float, top1: float, top5: float) -> Accuracy:
    if not images:
        raise ValueError("Expected at least one image to measure accuracy on. Received: none.")
    return Accuracy(top1=float(top1 / images), top5=float(top5 / images), images=int(images))
