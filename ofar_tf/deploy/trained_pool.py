"""A supernet and the pool it was trained with: measured as a whole, taken apart into networks to ship."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

import keras
import numpy as np

from ofar_tf.data import resize_batch
from ofar_tf.deploy.accuracy import Accuracy
from ofar_tf.deploy.calibration import CalibratedNetwork
from ofar_tf.deploy.family_member import FamilyMember
from ofar_tf.deploy.manifest import file_id
from ofar_tf.deploy.network_differences import masked_sliced_difference, sliced_keras_difference
from ofar_tf.deploy.network_parity import NetworkParity
from ofar_tf.deploy.pareto import pareto_front
from ofar_tf.deploy.pool_accuracy import PoolAccuracy, PoolImages
from ofar_tf.deploy.subnet_table import SubnetRow
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.subnet import build_subnet
from ofar_tf.search.pruned_network_pool import PrunedNetwork, PrunedNetworkPool

_PARITY_IMAGES = 32


@dataclass(frozen=True)
class TrainedPool:
    """What training leaves behind.

    Attributes:
        supernet: The trained network that holds all others.
        groups: Its channel groups.
        pool: The structures.
        resolutions: Input sizes in pixels, largest first.
        images: What to calibrate and to measure with.
    """

    supernet: keras.Model
    groups: ChannelGroups
    pool: PrunedNetworkPool
    resolutions: tuple[int, ...]
    images: PoolImages

    @cached_property
    def _accuracy(self) -> PoolAccuracy:
        return PoolAccuracy(self.supernet, self.groups, self.images)

    @cached_property
    def _costs(self) -> Costs:
        return Costs(self.groups)

    def evaluate(self) -> list[SubnetRow]:
        """Calibrates and measures every structure at every resolution.

        Returns:
            Rows by structure, largest first, and by resolution.
        """
        measured = self._accuracy.measure(self.pool.masks, resolutions=self.resolutions)
        rows = [self._row(self.pool[index], resolution, value) for (index, resolution), value in measured.items()]
        return [replace(row, pareto=best) for row, best in zip(rows, pareto_front(rows), strict=True)]

    def _row(self, network: PrunedNetwork, resolution: int, accuracy: Accuracy) -> SubnetRow:
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
        )

    def members(self, chosen: Sequence[SubnetRow]) -> list[FamilyMember]:
        """Turns rows of `evaluate` into networks to export, each calibrated and compared with what was trained.

        Args:
            chosen: The structures and resolutions wanted.

        Returns:
            One member per row, in order.
        """
        structures = {network.name: network for network in self.pool}
        names = list(dict.fromkeys(row.structure for row in chosen))
        networks = self._accuracy.calibrated(
            [structures[name].mask for name in names],
            resolutions=sorted({row.resolution for row in chosen}, reverse=True),
        )
        calibrated = dict(zip(names, networks, strict=True))
        whole = CalibratedNetwork(self.supernet, self.groups, ChannelMask.full(self.groups))
        images = _first_images(self.images.calibration())
        return [
            self._member(row, structures[row.structure].mask, calibrated[row.structure], whole=whole, images=images)
            for row in chosen
        ]

    def _member(
        self, row: SubnetRow, mask: ChannelMask, network: CalibratedNetwork, *, whole: CalibratedNetwork, images: Any
    ) -> FamilyMember:
        identity = file_id(self.supernet.name, row.structure, row.resolution)
        model = self._build(identity, mask, network, resolution=row.resolution)
        resized = np.asarray(resize_batch(images, row.resolution))
        parity = NetworkParity(
            masked_sliced=masked_sliced_difference(whole, network, mask, images, resolution=row.resolution),
            sliced_keras=sliced_keras_difference(network, model, images, resized, resolution=row.resolution),
        )
        return FamilyMember(
            id=identity,
            structure=row.structure,
            rate=row.rate,
            resolution=row.resolution,
            macs=row.macs,
            params=row.params,
            model=model,
            parity=parity,
        )

    def _build(self, name: str, mask: ChannelMask, network: CalibratedNetwork, *, resolution: int) -> keras.Model:
        """Builds the stock Keras model to ship: fixed input size, probabilities out."""
        subnet = build_subnet(self.supernet, self.groups, mask, resolution=resolution)
        network.copy_to(subnet, resolution=resolution)
        probabilities = keras.layers.Softmax(name="probabilities", dtype="float32")(subnet.output)
        return keras.Model(subnet.input, probabilities, name=name)


def _first_images(batches: Iterable[Any]) -> np.ndarray:
    (first,) = islice(batches, 1)
    return np.asarray(first[0])[:_PARITY_IMAGES]
