"""A supernet and the pool it was trained with: measured as a whole."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.devices.full_float32 import full_float32
from ofar_tf.evaluation.batch_norm_calibration import CalibratedNetwork, evaluate
from ofar_tf.evaluation.pareto import pareto_front
from ofar_tf.evaluation.pool_accuracy import Batches, PoolAccuracy, PoolImages
from ofar_tf.evaluation.pool_evaluation import PoolEvaluation
from ofar_tf.evaluation.subnet_table import SubnetRow
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.latency_predictor import LatencyPredictor
from ofar_tf.search.pool_weights import PoolWeights, weights_of
from ofar_tf.search.pruned_network_pool import PrunedNetwork, PrunedNetworkPool
from ofar_tf.tasks.task import Scores, Task
from ofar_tf.text.command_line import command_line
from ofar_tf.text.size import Size


@dataclass(frozen=True)
class TrainedPool:
    """What training leaves behind.

    Attributes:
        supernet: The trained network that holds all others.
        groups: Its channel groups.
        pool: The structures.
        resolutions: What its networks see, largest first.
        images: What to calibrate and to measure with.
        task: What they learned.
        weights: The weights that each structure is cut out of; the supernet's if `None`.
        strategy: Whose devices measure, see `PoolAccuracy`.
        predictor: What is known of the device that latencies are predicted for, if there is one.
    """

    supernet: keras.Model
    groups: ChannelGroups
    pool: PrunedNetworkPool
    resolutions: tuple[Size, ...]
    images: PoolImages
    task: Task
    weights: PoolWeights | None = None
    strategy: tf.distribute.Strategy | None = None
    predictor: LatencyPredictor | None = None

    @cached_property
    def accuracy(self) -> PoolAccuracy:
        """Measures its networks, on copies that are kept from one time to the next."""
        return PoolAccuracy(
            self.supernet,
            self.groups,
            self.images,
            task=self.task,
            weights_of=self.weights_of,
            strategy=self.strategy,
        )

    @property
    def training(self) -> str:
        """Identifies the training by what came of it, the weights and the structures: 64 hexadecimal digits.

        It is the same in whatever file these are kept, and whichever version of Keras read it; and another where a
        weight has changed since it was asked for.
        """
        kept = [network.mask.kept() for network in self.pool]
        digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode())
        for weight in (*self.supernet.weights, *(self.weights.own if self.weights else ())):
            digest.update(np.ascontiguousarray(weight).tobytes())
        return digest.hexdigest()

    def weights_of(self, mask: ChannelMask) -> Sequence[Any]:
        """Returns the variables that the structure of a mask is cut out of, in the order of the supernet's."""
        return weights_of(mask, supernet=self.supernet, pool=self.pool, weights=self.weights)

    @cached_property
    def _costs(self) -> Costs:
        return Costs(self.groups, self.predictor)

    @full_float32()
    def evaluate(self, *, used: Callable[[int], None] | None = None) -> PoolEvaluation:
        """Calibrates and measures every structure at every resolution.

        Args:
            used: See `PoolImages.watched`.

        Returns:
            Rows by structure, largest first, and by resolution, with the statistics that they were measured with. The
            front is that of the selection split, if there is one.
        """
        images = self.images.watched(used)
        networks = self.accuracy.calibrated(self.pool.masks, resolutions=self.resolutions, used=used)
        measured = self._judge(networks, images.evaluation)
        selected = self._judge(networks, images.selection) if images.selection else {}
        rows = [
            self._row(self.pool[index], resolution, scores, selected.get((index, resolution)))
            for (index, resolution), scores in measured.items()
        ]
        statistics = {
            (self.pool[index].name, resolution): networks[index].statistics(resolution)
            for index, resolution in measured
        }
        front = pareto_front(rows, noise=[row.choice.noise for row in rows])
        return PoolEvaluation(
            tuple(replace(row, pareto=best) for row, best in zip(rows, front, strict=True)), statistics
        )

    def _judge(self, networks: Sequence[CalibratedNetwork], batches: Batches) -> Mapping[tuple[int, Size], Scores]:
        return evaluate(networks, batches(), resolutions=self.resolutions, judge=self.task.evaluator)

    def outputs(self, evaluation: PoolEvaluation, images: Any) -> list[Any]:
        """Returns what measured networks say of images, with the statistics that they were measured with.

        Args:
            evaluation: The rows of some networks of this pool, and their statistics.
            images: float32 `[B, H, W, 3]` at the largest resolution.

        Returns:
            The outputs of each row's network, in their order.
        """
        masks = {network.name: network.mask for network in self.pool}
        found = []
        for row in evaluation.rows:
            (network,) = self.accuracy.networks([masks[row.structure]])
            network.adopt(evaluation.statistics[row.structure, row.resolution], resolution=row.resolution)
            found.append(network.outputs(images, resolution=row.resolution))
        return found

    def check_costs(self, rows: Sequence[SubnetRow], *, table: Path) -> None:
        """Compares rows that were read with what the networks cost.

        Args:
            rows: The rows.
            table: Where they were read, for the message.

        Raises:
            ValueError: If a row is of a structure or resolution that the pool has not, or of one that costs something
                else, in one line.
        """
        known = {
            (network.name, resolution): self._costs_of(network, resolution)
            for network in self.pool
            for resolution in self.resolutions
        }
        for row in rows:
            costs = known.get((row.structure, row.resolution))
            if costs != (row.rate, row.macs, row.params):
                names = ", ".join(network.name for network in self.pool)
                raise ValueError(
                    f"Expected structures of this run, {names}, at {', '.join(map(str, self.resolutions))} pixels and "
                    f"with their costs, in {table}; repeat {command_line('evaluate', run_dir=table.parent)}. "
                    f"Received: {row.structure!r} at {row.resolution} pixels with rate={row.rate}, macs={row.macs}, "
                    f"params={row.params}."
                )

    def _row(self, network: PrunedNetwork, resolution: Size, scores: Scores, selection: Scores | None) -> SubnetRow:
        rate, macs, params = self._costs_of(network, resolution)
        return SubnetRow(
            structure=network.name,
            rate=rate,
            resolution=resolution,
            macs=macs,
            params=params,
            scores=scores,
            selection=selection,
            predicted_ms=self._costs.milliseconds(network.mask, resolution) if self.predictor else None,
            total_macs=self._costs.total_macs(network.mask, resolution) if self.groups.outside else None,
        )

    def _costs_of(self, network: PrunedNetwork, resolution: Size) -> tuple[float, int, int]:
        return network.rate, self._costs.macs(network.mask, resolution), network.params
