"""A finished run, read back from its directory: what evaluation and export start from."""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from ofar_tf._version import __version__
from ofar_tf.conversion.images import FamilyImages
from ofar_tf.devices.distribution import Distribution
from ofar_tf.evaluation.pool_accuracy import PoolImages
from ofar_tf.evaluation.pool_evaluation import PoolEvaluation, read_evaluation, write_evaluation
from ofar_tf.evaluation.trained_pool import TrainedPool
from ofar_tf.files import atomic_file
from ofar_tf.models.user_model import read_file
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.costs import Costs
from ofar_tf.run.config_file import read_config
from ofar_tf.run.experiment import Experiment
from ofar_tf.run.run_dir import RunDir
from ofar_tf.run.run_facts import RunFacts, read_facts, require_same_classes
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.search.pool_weights import PoolWeights, ownership
from ofar_tf.search.pruned_network_pool import PrunedNetworkPool, read_pool
from ofar_tf.text.command_line import command_line
from ofar_tf.text.progress import WorkProgress
from ofar_tf.text.size import Size

# Written into every origin. It changes if something else is digested, not with each version: equal runs have equal
# origins whichever version reads them.
_ORIGIN_FORMAT = "0.1.0"


class FinishedRun:
    """The supernet, the pool and the data of a finished run.

    Args:
        run_dir: The run's folder.
        data_dir: Where the data set lies now, if it has moved.
        eval_images: Measure on this many images only.
        distribution: The devices that measure; one by default.

    Raises:
        FileNotFoundError: If there is no finished run.
        ValueError: If a file of the run is damaged, or the data set is not there.
    """

    def __init__(
        self,
        run_dir: str,
        *,
        data_dir: str | None = None,
        eval_images: int | None = None,
        distribution: Distribution | None = None,
    ):
        self.run_dir = RunDir(Path(run_dir))
        self.config: TrainConfig = read_config(self.run_dir.config)
        if not self.run_dir.supernet.exists():
            raise FileNotFoundError(
                f"Expected a finished run. Received: {run_dir}, whose training has not ended; repeat its command: "
                f"{command_line('train', flagfile=self.run_dir.flagfile, run_dir=run_dir)}"
            )
        self.run_dir.check_seal()
        self.facts: RunFacts | None = read_facts(self.run_dir.facts)
        groups = self.run_dir.groups if self.config.groups else None
        device = self.run_dir.device if self.config.device else None
        self.experiment = Experiment(
            self.config, data_dir=data_dir, groups=groups, device=device, distribution=distribution
        )
        self._check_data()
        if self.facts is not None:
            self.facts.user_modules.load()
        self.supernet: keras.Model = read_file(str(self.run_dir.supernet))
        self.experiment.run_task.check_outputs(self.supernet, len(self.class_names), path=self.run_dir.supernet)
        self.groups: ChannelGroups = self.experiment.find_groups(self.supernet)
        self.pool: PrunedNetworkPool = read_pool(self.run_dir.pool, self.groups)
        self._check_pool()
        config = self.experiment.config
        self.weights = PoolWeights(
            self.supernet,
            structures=len(self.pool),
            owned=ownership(
                weights=str(config.weights),
                batch_norm=str(config.batch_norm),
                finetuned=config.finetune_structures > 0,
            ),
        )
        self.weights.load(self.run_dir.own_weights)
        self._eval_images = eval_images

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that the run was trained on, in the order of the logits."""
        return self.facts.data.class_names if self.facts is not None else self.run_dir.class_names()

    @property
    def measuring(self) -> str:
        """Says in a line what measuring the pool means."""
        return (
            f"Calibrating {len(self.pool)} structures at {len(self.config.resolutions)} resolutions on "
            f"{self._calibration_images:,} images, then measuring each on {self._measured_images:,}."
        )

    @property
    def _calibration_images(self) -> int:
        images = self.experiment.images
        return self._count(images.calibration_split, most=images.config.calibration_images)

    @property
    def _measured_images(self) -> int:
        return self._count(self.experiment.images.eval_split, most=self._eval_images)

    def _count(self, split: str, *, most: int | None) -> int:
        images = self.experiment.images.dataset.num_examples(split)
        return min(images, most or images)

    def _check_pool(self) -> None:
        """Counts again what the structures cost; other versions may have counted MACs otherwise."""
        config, costs = self.experiment.config, Costs(self.groups, self.experiment.predictor)
        budgets = 3 if config.single_budget else config.budgets_given
        least = 2 if config.single_budget else budgets
        if not config.takes_structures and not least <= len(self.pool) <= budgets:
            raise ValueError(
                f"Expected {budgets} structures in {self.run_dir.pool}, as many as the run has budgets. "
                f"Received: {len(self.pool)}."
            )
        for network in self.pool:
            params, macs = costs.params(network.mask), network.macs
            if self.facts is not None and self.facts.version == __version__:
                macs = costs.macs(network.mask, max(config.resolutions))
            if (network.params, network.macs) != (params, macs):
                raise ValueError(
                    f"Expected {params} weights and {macs} MACs of {network.name} in {self.run_dir.pool}. "
                    f"Received: {network.params} and {network.macs}."
                )

    def _check_data(self) -> None:
        """Finds before any work whether the data set is there, and whether it is the one that the run had."""
        images = self.experiment.images
        images.check_place(self.run_dir.path)
        try:
            dataset = images.dataset
        except FileNotFoundError as error:
            raise FileNotFoundError(
                str(error).replace(". Received:", "; --data_dir says where the run's data lies now. Received:", 1)
            ) from error
        for split in (images.eval_split, images.calibration_split, images.selection_split):
            if split:
                dataset.num_examples(split)
        if self.facts is not None:
            self.facts.require_same_data(dataset)
        else:
            require_same_classes(self.class_names, dataset)

    @cached_property
    def trained_pool(self) -> TrainedPool:
        """The pool, with the run's own images."""
        images = PoolImages(
            calibration=self.experiment.images.calibration_batches,
            evaluation=lambda: self.experiment.images.evaluation_batches(images=self._eval_images),
            selection=self._selection if self.experiment.images.selection_split else None,
        )
        return TrainedPool(
            supernet=self.supernet,
            groups=self.groups,
            pool=self.pool,
            resolutions=tuple(sorted(map(Size.of, self.config.resolutions), reverse=True)),
            images=images,
            task=self.experiment.task,
            weights=self.weights,
            strategy=self.experiment.distribution.strategy,
            predictor=self.experiment.predictor,
        )

    @property
    def images(self) -> FamilyImages:
        """The run's own images, as its networks see them at any resolution."""
        return FamilyImages.resized(
            self.trained_pool.images,
            training=lambda images: self.experiment.images.calibration_batches(images=images),
            canvas=self.trained_pool.resolutions[0],
            depth=self.experiment.images.dataset.depth,
        )

    def _selection(self) -> tf.data.Dataset:
        return self.experiment.images.selection_batches(images=self._eval_images)

    @cached_property
    def origin(self) -> str:
        """A digest of everything the run's calibrated networks are made from."""
        config = self.config
        split = config.calibration_split or config.train_split
        parts = (
            _ORIGIN_FORMAT,
            atomic_file.sha256_of(self.run_dir.supernet),
            atomic_file.sha256_of(self.run_dir.pool),
            *(atomic_file.sha256_of(path) for path in [self.run_dir.own_weights] if path.exists()),
            f"{config.dataset} {split} {config.calibration_images} {config.resolutions} {config.eval_resize}",
        )
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()

    @property
    def dataset(self) -> dict[str, Any]:
        """What its networks were trained and are measured on, for records."""
        experiment = self.experiment
        selection = {"selection_split": experiment.images.selection_split} if experiment.images.selection_split else {}
        return {
            "name": self.config.dataset,
            "train_split": self.config.train_split,
            "eval_split": experiment.images.eval_split,
            **selection,
            "origin": self.origin,
            "eval_images": self._measured_images,
        }

    def evaluate(self) -> PoolEvaluation:
        """Measures every structure at every resolution; writes `subnets.csv`, and what an export need not find again.

        Returns:
            What was found.

        Raises:
            DamagedImageError: If an image cannot be read.
            NoRoomError: If there is no room for the files.
        """
        with WorkProgress(self._images_used) as progress:
            evaluation = self.trained_pool.evaluate(used=lambda count: progress.advance("images", parts=count))
        write_evaluation(self.run_dir.evaluation, evaluation, table=self.run_dir.subnets, origin=self.origin)
        return evaluation

    @property
    def _images_used(self) -> int:
        """How many images this process measures the pool on, calibration and all."""
        selection = self.experiment.images.selection_split
        selected = self._count(selection, most=self._eval_images) if selection else 0
        _, parts = self.experiment.distribution.part
        return (self._calibration_images + self._measured_images + selected) // parts

    def evaluated(self) -> PoolEvaluation:
        """Reads what `evaluate` wrote.

        Returns:
            What was found.

        Raises:
            FileNotFoundError: If the run was not evaluated.
            ValueError: If the table was changed since, or belongs to another training.
        """
        table = self.run_dir.subnets
        evaluation = read_evaluation(
            self.run_dir.evaluation,
            table=table,
            metric=self.experiment.task.metric,
            origin=self.origin,
            again=command_line("evaluate", run_dir=self.run_dir.path),
        )
        self.trained_pool.check_costs(evaluation.rows, table=table)
        return evaluation
