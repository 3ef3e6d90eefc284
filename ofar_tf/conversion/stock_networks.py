"""The networks of a trained pool as stock Keras models to ship, each compared with what was trained."""

import hashlib
from collections.abc import Iterable
from functools import cached_property, partial
from itertools import islice
from typing import Any

import keras
import numpy as np

from ofar_tf.conversion.member import FamilyMember, file_id
from ofar_tf.data import resize_batch
from ofar_tf.evaluation.batch_norm_calibration import CalibratedNetwork
from ofar_tf.evaluation.network_parity import NetworkParity, masked_sliced_difference, sliced_keras_difference
from ofar_tf.evaluation.pool_evaluation import PoolEvaluation
from ofar_tf.evaluation.subnet_table import SubnetRow
from ofar_tf.evaluation.trained_pool import TrainedPool
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.latency_predictor import LatencyPredictor
from ofar_tf.pruning.subnet import build_subnet
from ofar_tf.tflite.latency import PredictedLatency

_PARITY_IMAGES = 32


def family_members(trained: TrainedPool, chosen: PoolEvaluation, *, origin: str) -> list[FamilyMember]:
    """Turns rows of an evaluation into networks to export, each calibrated and compared with what was trained.

    Nothing is built, or calibrated where the statistics are not known, before the first of them is asked for.

    Args:
        trained: The pool.
        chosen: The structures and resolutions wanted, as they were evaluated.
        origin: A digest of everything the pool was made from and is calibrated with.

    Returns:
        One member per row, in order.
    """
    workshop = _Workshop(trained, chosen)
    return [
        FamilyMember(
            id=file_id(trained.supernet.name, row.structure, row.resolution),
            structure=row.structure,
            rate=row.rate,
            resolution=row.resolution,
            macs=row.macs,
            params=row.params,
            model=partial(workshop.build, row),
            measure_parity=partial(workshop.measure_parity, row),
            origin=hashlib.sha256(f"{origin} {row.structure} {row.resolution}".encode()).hexdigest(),
            predicted=_predicted(row, trained.predictor),
        )
        for row in chosen.rows
    ]


def _predicted(row: SubnetRow, predictor: LatencyPredictor | None) -> dict[str, PredictedLatency]:
    if predictor is None or row.predicted_ms is None:
        return {}
    known = PredictedLatency(predictor.device, predictor.threads, row.predicted_ms, predictor.error.median)
    return {predictor.precision: known}


class _Workshop:
    """Builds the models of a family, on networks that are made ready together when the first is asked for."""

    def __init__(self, trained: TrainedPool, chosen: PoolEvaluation):
        self._trained = trained
        self._chosen = chosen
        self._masks = {network.name: network.mask for network in trained.pool}
        self._wholes: dict[tuple[int, ...], CalibratedNetwork] = {}
        self._names = list(dict.fromkeys(row.structure for row in chosen.rows))
        self._resolutions = sorted({row.resolution for row in chosen.rows}, reverse=True)

    @cached_property
    def _networks(self) -> dict[str, CalibratedNetwork]:
        masks = [self._masks[name] for name in self._names]
        known = self._chosen.statistics
        places = [(row.structure, row.resolution) for row in self._chosen.rows]
        if not set(places) <= set(known):
            networks = self._trained.accuracy.calibrated(masks, resolutions=self._resolutions)
            return dict(zip(self._names, networks, strict=True))
        ready = dict(zip(self._names, self._trained.accuracy.networks(masks), strict=True))
        for name, resolution in places:
            ready[name].adopt(known[name, resolution], resolution=resolution)
        return ready

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
        """Builds the stock Keras model to ship: fixed input size, and what its task ships behind the last layer."""
        trained = self._trained
        mask = self._masks[row.structure]
        subnet = build_subnet(trained.supernet, trained.groups, mask, resolution=row.resolution)
        self._networks[row.structure].copy_to(subnet, resolution=row.resolution)
        name = file_id(trained.supernet.name, row.structure, row.resolution)
        return keras.Model(subnet.input, trained.task.shipped(subnet.output), name=name)

    def measure_parity(self, row: SubnetRow, model: keras.Model) -> NetworkParity:
        """Compares the forms of a network: masked, sliced, exported."""
        mask, network, resolution = self._masks[row.structure], self._networks[row.structure], row.resolution
        resized = np.asarray(resize_batch(self._images, resolution))
        expected = self._trained.task.finished(network.outputs(self._images, resolution=resolution))
        return NetworkParity(
            masked_sliced=masked_sliced_difference(
                self._whole(mask), network, mask, self._images, resolution=resolution
            ),
            sliced_keras=sliced_keras_difference(expected, model, resized),
        )


def _first_images(batches: Iterable[Any]) -> np.ndarray:
    (first,) = islice(batches, 1)
    return np.asarray(first[0])[:_PARITY_IMAGES]
