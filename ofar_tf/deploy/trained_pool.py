"""A supernet and the pool it was trained with: measured as a whole, taken apart into networks to ship."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from typing import Any

import keras
import numpy as np
import tensorflow as tf

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
from ofar_tf.search.pool_weights import PoolWeights
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
    def _accuracy(self) -> PoolAccuracy:
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

    def members(self, chosen: Sequence[SubnetRow], *, origin: str | None = None) -> list[FamilyMember]:
        """Turns rows of `evaluate` into networks to export, each calibrated and compared with what was trained.

        Nothing is calibrated before the first of them is built.

        Args:
            chosen: The structures and resolutions wanted.
            origin: A digest of everything the pool was made from and is calibrated with; None where there is none.

        Returns:
            One member per row, in order.
        """
        workshop = _Workshop(self, self._accuracy, chosen)
        return [
            FamilyMember(
                id=file_id(self.supernet.name, row.structure, row.resolution),
                structure=row.structure,
                rate=row.rate,
                resolution=row.resolution,
                macs=row.macs,
                params=row.params,
                model=partial(workshop.build, row),
                measure_parity=partial(workshop.measure_parity, row),
                origin=origin and hashlib.sha256(f"{origin} {row.structure} {row.resolution}".encode()).hexdigest(),
            )
            for row in chosen
        ]


class _Workshop:
    """Builds the models of a family, on networks that are calibrated together when the first is asked for."""

    def __init__(self, trained: TrainedPool, accuracy: PoolAccuracy, chosen: Sequence[SubnetRow]):
        self._trained = trained
        self._accuracy = accuracy
        self._masks = {network.name: network.mask for network in trained.pool}
        self._wholes: dict[tuple[int, ...], CalibratedNetwork] = {}
        self._names = list(dict.fromkeys(row.structure for row in chosen))
        self._resolutions = sorted({row.resolution for row in chosen}, reverse=True)

    @cached_property
    def _networks(self) -> dict[str, CalibratedNetwork]:
        masks = [self._masks[name] for name in self._names]
        networks = self._accuracy.calibrated(masks, resolutions=self._resolutions)
        return dict(zip(self._names, networks, strict=True))

    def _whole(self, mask: ChannelMask) -> CalibratedNetwork:
        """Returns the whole network that a structure is cut out of: one for all that share it, else one for each."""
        trained = self._trained
        weights = trained.weights_of(mask)
        key = tuple(map(id, weights))
        if key not in self._wholes:
            full = ChannelMask.full(trained.groups)
            self._wholes[key] = CalibratedNetwork(trained.supernet, trained.groups, full, weights=weights)
        return self._wholes[key]

    @cached_property
    def _images(self) -> np.ndarray:
        return _first_images(self._trained.images.calibration())

    def build(self, row: SubnetRow) -> keras.Model:
        """Builds the stock Keras model to ship: fixed input size, probabilities out."""
        trained = self._trained
        mask = self._masks[row.structure]
        subnet = build_subnet(trained.supernet, trained.groups, mask, resolution=row.resolution)
        self._networks[row.structure].copy_to(subnet, resolution=row.resolution)
        probabilities = keras.layers.Softmax(name="probabilities", dtype="float32")(subnet.output)
        name = file_id(trained.supernet.name, row.structure, row.resolution)
        return keras.Model(subnet.input, probabilities, name=name)

    def measure_parity(self, row: SubnetRow, model: keras.Model) -> NetworkParity:
        """Compares the forms of a network: masked, sliced, exported."""
        mask, network, resolution = self._masks[row.structure], self._networks[row.structure], row.resolution
        resized = np.asarray(resize_batch(self._images, resolution))
        return NetworkParity(
            masked_sliced=masked_sliced_difference(
                self._whole(mask), network, mask, self._images, resolution=resolution
            ),
            sliced_keras=sliced_keras_difference(network, model, self._images, resized, resolution=resolution),
        )


def _first_images(batches: Iterable[Any]) -> np.ndarray:
    (first,) = islice(batches, 1)
    return np.asarray(first[0])[:_PARITY_IMAGES]
