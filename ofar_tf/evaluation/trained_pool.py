"""A supernet and the pool it was trained with: measured as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from ofar_tf.evaluation.accuracy import Accuracy
from ofar_tf.evaluation.batch_norm_calibration import evaluate
from ofar_tf.evaluation.pareto import pareto_front
from ofar_tf.evaluation.pool_accuracy import PoolAccuracy, PoolImages
from ofar_tf.evaluation.subnet_table import SubnetRow
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.costs import Costs
from ofar_tf.search.pool_weights import PoolWeights
from ofar_tf.search.pruned_network_pool import PrunedNetwork, PrunedNetworkPool


class _Choice(NamedTuple):
    macs: int
    top1: float


@dataclass(frozen=True)
class TrainedPool:
    """What training leaves behind.

    Attributes:
        supernet: The trained network that holds all others.
        groups: Its channel groups.
        pool: The structures.
        resolutions: Input sizes in pixels, largest first.
        images: What to calibrate and to measure with.
        weights: The weights that each structure is cut out of; the supernet's if `None`.
        strategy: Whose devices measure, see `PoolAccuracy`.
    """

    supernet: keras.Model
    groups: ChannelGroups
    pool: PrunedNetworkPool
    resolutions: tuple[int, ...]
    images: PoolImages
    weights: PoolWeights | None = None
    strategy: tf.distribute.Strategy | None = None

    @cached_property
    def accuracy(self) -> PoolAccuracy:
        """Measures its networks, on copies that are kept from one time to the next."""
        return PoolAccuracy(self.supernet, self.groups, self.images, weights_of=self.weights_of, strategy=self.strategy)

    def weights_of(self, mask: ChannelMask) -> Sequence[Any]:
        """Returns the variables that the structure of a mask is cut out of, in the order of the supernet's."""
        if self.weights is None:
            return self.supernet.weights
        return self.weights.of(list(self.pool.masks).index(mask))

    @cached_property
    def _costs(self) -> Costs:
        return Costs(self.groups)

    def evaluate(self) -> list[SubnetRow]:
        """Calibrates and measures every structure at every resolution.

        Returns:
            Rows by structure, largest first, and by resolution. The front is that of the selection split, if there is
            one.
        """
        networks = self.accuracy.calibrated(self.pool.masks, resolutions=self.resolutions)
        measured = evaluate(networks, self.images.evaluation(), resolutions=self.resolutions)
        selection = self.images.selection
        chosen_by = evaluate(networks, selection(), resolutions=self.resolutions) if selection else {}
        rows = [
            self._row(self.pool[index], resolution, value, chosen_by.get((index, resolution)))
            for (index, resolution), value in measured.items()
        ]
        front = pareto_front(
            [_Choice(row.macs, row.choice_top1) for row in rows], noise=[row.choice_noise for row in rows]
        )
        return [replace(row, pareto=best) for row, best in zip(rows, front, strict=True)]

    def _row(
        self, network: PrunedNetwork, resolution: int, accuracy: Accuracy, chosen_by: Accuracy | None
    ) -> SubnetRow:
        return SubnetRow(
            structure=network.name,
            rate=network.rate,
            resolution=resolution,
            macs=self._costs.macs(network.mask, resolution),
            params=network.params,
            top1=accuracy.top1,
            top5=accuracy.top5,
            images=accuracy.images,
            pareto=False,
            selection_top1=chosen_by.top1 if chosen_by else None,
            selection_images=chosen_by.images if chosen_by else None,
        )
