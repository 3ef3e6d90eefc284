"""A finished run, read back from its directory: what evaluation and export start from."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path

import keras
import numpy as np

from ofar_tf.config import TrainConfig, read_config
from ofar_tf.deploy.accuracy import Accuracy
from ofar_tf.deploy.calibration import CalibratedNetwork
from ofar_tf.deploy.pareto import pareto_front
from ofar_tf.deploy.pool_accuracy import PoolAccuracy, PoolImages
from ofar_tf.deploy.subnet_table import SubnetRow
from ofar_tf.experiment import Experiment
from ofar_tf.pruning.channel_groups import ChannelGroups, find_channel_groups
from ofar_tf.pruning.costs import Costs
from ofar_tf.run_dir import RunDir
from ofar_tf.search.pruned_network_pool import PrunedNetworkPool, read_pool


class FinishedRun:
    """The supernet, the pool and the data of a finished run.

    Args:
        run_dir: The run's folder.
        data_dir: Where the data set lies now, if it has moved.
        eval_images: Measure on this many images only.

    Raises:
        FileNotFoundError: If there is no finished run.
        ValueError: If a file of the run is damaged, or the data set is not there.
    """

    def __init__(self, run_dir: str, *, data_dir: str | None = None, eval_images: int | None = None):
        self.run_dir = RunDir(Path(run_dir))
        self.config: TrainConfig = read_config(self.run_dir.config)
        if not self.run_dir.supernet.exists():
            raise FileNotFoundError(
                f"Expected a finished run. Received: {run_dir}, whose training has not ended; repeat its command: "
                f"python -m ofar_tf.train --flagfile={self.run_dir.flagfile} --run_dir={run_dir}."
            )
        self.experiment = Experiment(self.config, data_dir=data_dir)
        self.supernet: keras.Model = keras.models.load_model(self.run_dir.supernet, compile=False)
        self.groups: ChannelGroups = find_channel_groups(
            self.supernet, prune_residual_stream=self.config.prune_residual_stream
        )
        self.costs = Costs(self.groups)
        self.pool: PrunedNetworkPool = read_pool(self.run_dir.pool, self.groups)
        self._eval_images = eval_images
        # Touched here so that a missing data set is found before any work.
        self.experiment.eval_split  # noqa: B018

    @property
    def resolutions(self) -> tuple[int, ...]:
        """The resolutions of the run, largest first."""
        return tuple(sorted(self.config.resolutions, reverse=True))

    @cached_property
    def _accuracy(self) -> PoolAccuracy:
        images = PoolImages(
            calibration=self.experiment.calibration_batches,
            evaluation=lambda: self.experiment.evaluation_batches(images=self._eval_images),
        )
        return PoolAccuracy(self.supernet, self.groups, images)

    def evaluate(self) -> list[SubnetRow]:
        """Calibrates and measures every structure at every resolution.

        Returns:
            Rows by structure, largest first, and by resolution.
        """
        measured = self._accuracy.measure(self.pool.masks, resolutions=self.resolutions)
        rows = [self._row(index, resolution, accuracy) for (index, resolution), accuracy in measured.items()]
        return [replace(row, pareto=best) for row, best in zip(rows, pareto_front(rows), strict=True)]

    def _row(self, index: int, resolution: int, accuracy: Accuracy) -> SubnetRow:
        network = self.pool[index]
        return SubnetRow(
            structure=network.name,
            rate=network.rate,
            resolution=resolution,
            macs=self.costs.macs(network.mask, resolution),
            params=network.params,
            top1=accuracy.top1,
            top5=accuracy.top5,
            images=accuracy.images,
            pareto=False,
        )

    def calibrated(self) -> dict[str, CalibratedNetwork]:
        """Returns every structure, by name, calibrated at every resolution."""
        networks = self._accuracy.calibrated(self.pool.masks, resolutions=self.resolutions)
        return {structure.name: network for structure, network in zip(self.pool, networks, strict=True)}

    def evaluation_batches(self, resolution: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Returns the evaluation images at a resolution, as the networks of the run saw them."""
        from ofar_tf.data import resize_batch

        batches = self.experiment.evaluation_batches(images=self._eval_images)
        return [(np.asarray(resize_batch(images, resolution)), np.asarray(labels)) for images, labels in batches]
