"""BatchNorm calibration: statistics of its own for each network at each resolution (DESIGN D17).

Shared weights mean different activations in every structure and at every resolution, so each gets statistics of its
own, as in US-Net: the network runs over many batches, only BatchNorm in training mode, and what they show is pooled as
if all images had been one batch. For the first BatchNorm of a network that is exact. Deeper ones see what the
statistics of each batch made of the images, so the size of the batches moves them a little, and is a fact of a run.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import chain, product, repeat
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.data import resize_batch
from ofar_tf.devices.accelerators import is_accelerated
from ofar_tf.devices.replicas import Replicas
from ofar_tf.pruning.batch_statistics import BatchStatistics
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.slicing import kept_indices, mask_array, slice_array
from ofar_tf.pruning.subnet import build_subnet
from ofar_tf.tasks.task import Evaluator, Scores
from ofar_tf.text.size import Resolution, Size

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
            self._network = build_subnet(supernet, groups, mask, trainable_copy=True)
        self._batch_statistics = BatchStatistics(self._network)
        self._norms = self._batch_statistics.norms
        self._channels = [norm.moving_mean.shape[0] for norm in self._norms]
        images, size = tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([2], tf.int32)
        statistics = [(tf.TensorSpec([channels]),) * 2 for channels in self._channels]
        self._training = self.replicas.traced(self._observe, images, size)
        self._outputs = self.replicas.traced(self._inference, images, size, statistics)
        self._pooled: dict[Size, PooledStatistics] = {}
        self._adopted: dict[Size, Statistics] = {}
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

    def observe(self, batches: Sequence[Any], *, resolution: Resolution) -> None:
        """Adds a group of batches to the statistics of a resolution.

        Args:
            batches: float32 `[B, H, W, 3]` at the largest resolution, 0..255; as many as there are devices, or fewer.
            resolution: What they are resized to.
        """
        results = self._training(batches, _pixels(resolution))
        for (_, moments), images in zip(results, batches, strict=True):
            self._pooled_at(resolution).add(moments, images=len(images))

    def share_statistics(self, *, resolution: Resolution) -> None:
        """Adds up what the processes of the strategy observed; all of them must call this."""
        self._pooled_at(resolution).share(self.replicas.total)

    def _pooled_at(self, resolution: Resolution) -> PooledStatistics:
        return self._pooled.setdefault(Size.of(resolution), PooledStatistics(self._channels))

    def all_outputs(self, batches: Sequence[Any], *, resolution: Resolution) -> list[Any]:
        """Returns what the network says of each batch of a group, normalized by the statistics of that resolution.

        Args:
            batches: As in `observe`.
            resolution: What they are resized to.

        Returns:
            For each batch the outputs, float32 arrays, for a classifier the logits `[B, K]`.

        Raises:
            ValueError: If nothing was observed at that resolution.
        """
        statistics = list(self.statistics(resolution))
        return [_arrays(outputs) for outputs in self._outputs(batches, _pixels(resolution), statistics)]

    def outputs(self, images: Any, *, resolution: Resolution) -> Any:
        """Returns what the network says of images `[B, H, W, 3]`, as `all_outputs` does for a group of batches."""
        return self.all_outputs([images], resolution=resolution)[0]

    def outputs_in_training(self, images: Any, *, resolution: Resolution) -> Any:
        """Returns the same, but normalized by the statistics of these very images."""
        ((outputs, _),) = self._training([images], _pixels(resolution))
        return _arrays(outputs)

    def copy_to(self, subnet: keras.Model, *, resolution: Resolution) -> None:
        """Assigns the weights and the statistics of a resolution to a stock Keras copy of this network."""
        statistics = self._states(self.statistics(resolution))
        values = {id(v): state for v, state in zip(self._network.non_trainable_variables, statistics, strict=True)}
        for source, target in zip(self._network.weights, subnet.weights, strict=True):
            target.assign(np.asarray(values.get(id(source), source)))

    def statistics(self, resolution: Resolution) -> Statistics:
        """Returns the statistics of a resolution.

        Args:
            resolution: Pixels.

        Raises:
            ValueError: If there are none.
        """
        known = self._adopted.get(Size.of(resolution))
        return known if known is not None else self._pooled_at(resolution).result()

    def adopt(self, statistics: Statistics, *, resolution: Resolution) -> None:
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
        self._adopted[Size.of(resolution)] = statistics

    def _states(self, statistics: Sequence[tuple[Any, Any]]) -> list[Any]:
        """The values of the network's non-trainable variables, with these statistics in their places."""
        values: dict[int, Any] = {}
        for norm, (mean, variance) in zip(self._norms, statistics, strict=True):
            values[id(norm.moving_mean)], values[id(norm.moving_variance)] = mean, variance
        return [values.get(id(variable), variable.value) for variable in self._network.non_trainable_variables]

    def _observe(self, images: Any, size: Any) -> tuple[Any, list[tuple[Any, Any]]]:
        values = [variable.value for variable in self._network.trainable_variables]
        states = [variable.value for variable in self._network.non_trainable_variables]
        return self._batch_statistics.run(values, states, self._seen(images, size))

    def _inference(self, images: Any, size: Any, statistics: Any) -> Any:
        values = [variable.value for variable in self._network.trainable_variables]
        states = self._states(statistics)
        outputs, _ = self._network.stateless_call(values, states, self._seen(images, size), training=False)
        return outputs

    def _seen(self, images: Any, size: Any) -> Any:
        # A network of one size may have layers that must know it.
        return tf.ensure_shape(resize_batch(images, size), self._network.inputs[0].shape)


def calibrate(
    networks: Sequence[CalibratedNetwork], batches: Iterable[Any], *, resolutions: Sequence[Resolution]
) -> None:
    """Calibrates several networks at several resolutions in one pass over the images.

    Args:
        networks: The networks, at least one, all on the same devices.
        batches: (images float32 `[B, H, W, 3]`, labels); labels are ignored. Of several processes each gives its own.
        resolutions: What they are resized to.
    """
    pairs, replicas = list(product(networks, resolutions)), networks[0].replicas

    def observe(images: Sequence[Any], pair: tuple[CalibratedNetwork, Resolution]) -> None:
        pair[0].observe(images, resolution=pair[1])

    with _overlapping(replicas) as each:
        for group in replicas.groups(batches):
            deque(each(partial(observe, [batch[0] for batch in group]), pairs), maxlen=0)
    for network, resolution in pairs:
        network.share_statistics(resolution=resolution)


def evaluate(
    networks: Sequence[CalibratedNetwork],
    batches: Iterable[Any],
    *,
    resolutions: Sequence[Resolution],
    judge: Callable[[Size], Evaluator],
) -> Mapping[tuple[int, Size], Scores]:
    """Measures several calibrated networks at several resolutions in one pass over the images.

    Args:
        networks: The networks, calibrated at these resolutions, at least one, all on the same devices.
        batches: (images float32 `[B, H, W, 3]` at the largest resolution, labels as the task takes them). Of several
            processes each gives its own, and the scores are those on all of them.
        resolutions: What they are resized to.
        judge: Makes an evaluator for one network at one resolution (`Task.evaluator`).

    Returns:
        The scores for each (position of the network, resolution).

    Raises:
        ValueError: If there are no images.
    """
    replicas = networks[0].replicas
    judges = {(index, size): judge(size) for index, size in product(range(len(networks)), map(Size.of, resolutions))}

    def outputs_of(images: Sequence[Any], place: tuple[int, Size]) -> list[Any]:
        return networks[place[0]].all_outputs(images, resolution=place[1])

    with _overlapping(replicas) as each:
        for group in replicas.groups(batches):
            found = each(partial(outputs_of, [batch[0] for batch in group]), judges)
            for evaluator, outputs in zip(judges.values(), found, strict=True):
                for output, batch in zip(outputs, group, strict=True):
                    evaluator.update(output, keras.tree.map_structure(np.asarray, batch[1]))
    for evaluator in judges.values():
        evaluator.share(replicas.total)
    return {key: evaluator.result() for key, evaluator in judges.items()}


@contextmanager
def _overlapping(replicas: Replicas) -> Iterator[Callable[..., Iterable[Any]]]:
    """Yields a `map` of which each call must be used up before the next: two networks run at a time on a processor.

    One has work for cores that another leaves idle. Accelerators have no such cores, and several devices have their own
    order of things. The first call runs one network after the other, since that traces them.
    """
    at_once = 1 if is_accelerated() or replicas.strategy.num_replicas_in_sync > 1 else 2
    with ThreadPoolExecutor(at_once) as threads:
        maps: Iterator[Callable[..., Iterable[Any]]] = chain([map], repeat(threads.map))
        yield lambda function, values: next(maps)(function, values)


def _pixels(resolution: Resolution) -> tf.Tensor:
    size = Size.of(resolution)
    return tf.constant([size.height, size.width])


def _arrays(outputs: Any) -> Any:
    return keras.tree.map_structure(lambda output: np.asarray(output, np.float32), outputs)
