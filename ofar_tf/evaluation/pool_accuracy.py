"""The accuracy of every network of a pool, each calibrated at each resolution."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import keras
import tensorflow as tf

from ofar_tf.devices.replicas import Replicas
from ofar_tf.evaluation.batch_norm_calibration import CalibratedNetwork, calibrate, evaluate
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.tasks.task import Scores, Task
from ofar_tf.text.size import Resolution, Size

Batches = Callable[[], Iterable[Any]]


@dataclass(frozen=True)
class PoolImages:
    """The images a pool is measured with, at the largest resolution.

    Attributes:
        calibration: Returns the batches that BatchNorm is calibrated on; of several processes each has its own.
        evaluation: Returns the batches that accuracy is measured on, likewise.
        selection: Returns the batches that choices are made on, likewise; None where they are made on those of
            `evaluation`.
    """

    calibration: Batches
    evaluation: Batches
    selection: Batches | None = None

    def watched(self, used: Callable[[int], None] | None) -> Self:
        """Returns the same images, of which one learns how many were used.

        Args:
            used: Is told after each batch how many images it had; None where nobody asks.
        """
        if used is None:
            return self
        return type(self)(
            calibration=partial(_watched, self.calibration, used),
            evaluation=partial(_watched, self.evaluation, used),
            selection=self.selection and partial(_watched, self.selection, used),
        )


def _watched(batches: Batches, used: Callable[[int], None]) -> Iterator[Any]:
    for batch in batches():
        yield batch
        used(len(batch[0]))


class PoolAccuracy:
    """Measures networks of one supernet again and again, as its weights and masks change.

    Args:
        supernet: The network that is trained.
        groups: Its channel groups.
        images: What to measure with.
        task: Judges the networks.
        weights_of: Returns the variables that the structure of a mask is cut out of, in the order of the supernet's;
            by default they are the supernet's own.
        strategy: Whose devices measure, each a batch at a time; by default those of the present scope. All processes of
            a strategy must measure at the same time, and all learn the result.
    """

    def __init__(
        self,
        supernet: keras.Model,
        groups: ChannelGroups,
        images: PoolImages,
        *,
        task: Task,
        weights_of: Callable[[ChannelMask], Sequence[Any]] | None = None,
        strategy: tf.distribute.Strategy | None = None,
    ):
        self._supernet = supernet
        self._weights_of = weights_of or (lambda mask: supernet.weights)
        self._groups = groups
        self._images = images
        self._task = task
        self._replicas = Replicas(strategy)
        self._compact: dict[Any, CalibratedNetwork] = {}
        self._whole: CalibratedNetwork | None = None

    def measure(
        self, masks: Sequence[ChannelMask], *, resolutions: Sequence[Resolution]
    ) -> Mapping[tuple[int, Size], Scores]:
        """Measures frozen structures on compact copies, which are kept for the next time.

        Args:
            masks: The structures' masks.
            resolutions: What the images are resized to.

        Returns:
            The scores for each (position of the mask, resolution).
        """
        networks = self.calibrated(masks, resolutions=resolutions)
        return self._evaluate(networks, resolutions)

    def _evaluate(
        self, networks: Sequence[CalibratedNetwork], resolutions: Sequence[Resolution]
    ) -> Mapping[tuple[int, Size], Scores]:
        return evaluate(networks, self._images.evaluation(), resolutions=resolutions, judge=self._task.evaluator)

    def calibrated(
        self,
        masks: Sequence[ChannelMask],
        *,
        resolutions: Sequence[Resolution],
        used: Callable[[int], None] | None = None,
    ) -> list[CalibratedNetwork]:
        """Returns compact networks with the present weights, calibrated at the resolutions.

        Args:
            masks: The structures' masks.
            resolutions: What the images are resized to.
            used: See `PoolImages.watched`.
        """
        networks = self.networks(masks)
        calibrate(networks, self._images.watched(used).calibration(), resolutions=resolutions)
        return networks

    def networks(self, masks: Sequence[ChannelMask]) -> list[CalibratedNetwork]:
        """Returns compact networks with the present weights, and without statistics."""
        networks = []
        for mask in masks:
            weights = self._weights_of(mask)
            # A structure that trains on alone is cut out of other weights than before.
            key = mask, *map(id, weights)
            if key in self._compact:
                self._compact[key].refresh()
            else:
                self._compact[key] = self._network(mask, weights)
            networks.append(self._compact[key])
        return networks

    def measure_masked(self, masks: Sequence[ChannelMask], *, resolution: Resolution) -> list[Scores]:
        """Measures masks that still change, one after the other on one masked copy of the whole supernet.

        Args:
            masks: The masks; equal ones are measured once.
            resolution: What the images are resized to.
        """
        if self._whole is None:
            self._whole = self._network(ChannelMask.full(self._groups), self._supernet.weights)
        measured: dict[ChannelMask, Scores] = {}
        for mask in dict.fromkeys(masks):
            self._whole.refresh(mask)
            calibrate([self._whole], self._images.calibration(), resolutions=[resolution])
            (measured[mask],) = self._evaluate([self._whole], [resolution]).values()
        return [measured[mask] for mask in masks]

    def _network(self, mask: ChannelMask, weights: Sequence[Any]) -> CalibratedNetwork:
        return CalibratedNetwork(self._supernet, self._groups, mask, weights=weights, replicas=self._replicas)
