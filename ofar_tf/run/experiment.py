"""A configuration brought to life: its images, its supernet and its trainer."""

from functools import cached_property
from pathlib import Path

import keras

from ofar_tf import models
from ofar_tf.devices.distribution import Distribution
from ofar_tf.models.keras_settings import use_standard_keras
from ofar_tf.models.resolution import fixed_size
from ofar_tf.models.user_model import is_saved
from ofar_tf.pruning.budgets import Budget
from ofar_tf.pruning.channel_groups import ChannelGroups, find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.group_choices import GroupChoices, read_group_choices
from ofar_tf.pruning.importance import BY_GAMMA
from ofar_tf.pruning.latency_predictor import LatencyPredictor, read_predictor
from ofar_tf.run.given_budgets import given_budgets
from ofar_tf.run.initial_weights import load_initial_weights
from ofar_tf.run.rehearsal import rehearse_saving
from ofar_tf.run.run_images import RunImages
from ofar_tf.run.run_steps import RunSteps
from ofar_tf.run.suggested_budgets import with_neighbours
from ofar_tf.run.tasks.run_task import RunTask, run_task_of
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.search.pool_spec import PoolSpec
from ofar_tf.tasks.task import Task
from ofar_tf.text.size import Size
from ofar_tf.training.once_for_all import OnceForAll


class Experiment:
    """Everything a command needs of a run's configuration. Nothing is built before it is asked for.

    Args:
        config: The settings of the run; what it leaves to the method is looked up.
        data_dir: Where the data set lies, if not where the configuration says.
        groups: The file of channel groups, if not where the configuration says.
        device: The file of what is known of a device, if not where the configuration says.
        distribution: The devices; this process' own only by default.

    Attributes:
        distribution: The devices.
        images: The images of the run.
        steps: What its steps do.
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        data_dir: str | None = None,
        groups: Path | None = None,
        device: Path | None = None,
        distribution: Distribution | None = None,
    ):
        use_standard_keras()
        self.distribution = distribution or Distribution()
        self.images = RunImages(config, data_dir=data_dir, distribution=self.distribution)
        self.steps = RunSteps(self.images)
        self._found: tuple[keras.Model, ChannelGroups] | None = None
        self._groups = groups or (Path(config.groups) if config.groups else None)
        self._device = device or (Path(config.device) if config.device else None)

    @property
    def config(self) -> TrainConfig:
        """The settings, complete."""
        return self.images.config

    @cached_property
    def group_choices(self) -> GroupChoices:
        """What the user decided about channel groups.

        Raises:
            FileNotFoundError: If the file that is configured is missing.
            ValueError: If it makes no sense.
        """
        return read_group_choices(self._groups) if self._groups else GroupChoices()

    @cached_property
    def predictor(self) -> LatencyPredictor | None:
        """What is known of the device that latencies are predicted for; None where there is no such device.

        Raises:
            FileNotFoundError: If the file that is configured is missing.
            ValueError: If it is no such file.
        """
        return read_predictor(self._device) if self._device else None

    def build_supernet(self) -> keras.Model:
        """Builds the supernet with its initial weights.

        Raises:
            ValueError: If the model or a resolution does not fit.
            FileNotFoundError: If a file is missing.
        """
        config = self.config
        with self.distribution.strategy.scope():
            supernet = self.run_task.network(
                len(self.images.dataset.class_names), say=print if self.distribution.writes else lambda _: None
            )
        lists = ("resolutions", "search_resolutions", "training_resolutions")
        models.check_resolutions(
            supernet, {f"--{name}": getattr(config, name) for name in lists}, outside=self.run_task.outside
        )
        if self.has_users_network:
            rehearse_saving(supernet, size=Size.of(min(config.resolutions)))
        if config.initial_weights:
            load_initial_weights(supernet, config.initial_weights)
        return supernet

    @property
    def has_users_network(self) -> bool:
        """Whether the network is not one of this package's own, which are known to work."""
        return ":" in self.config.model or is_saved(self.config.model)

    @property
    def run_task(self) -> RunTask:
        """What a run of its task is made of."""
        return run_task_of(self.config)

    @cached_property
    def task(self) -> Task:
        """What the networks learn, and how they are judged."""
        return self.run_task.task(self.images)

    def pool_spec(self, supernet: keras.Model) -> PoolSpec:
        """Says what the pool of a supernet is to be.

        Raises:
            ValueError: If a budget makes no sense.
        """
        config = self.config
        return PoolSpec.of(
            budgets=self._budgets(supernet),
            resolutions=config.resolutions,
            importance=str(config.importance),
            rank_by=config.rank_by,
            rules=self.rules(self.find_groups(supernet)),
            prune_residual_stream=config.prune_residual_stream,
            excluded_groups=self.group_choices.excluded,
            outside=self.run_task.outside,
            nested=config.nested,
            predictor=self.predictor,
        )

    def build_trainer(self, supernet: keras.Model) -> OnceForAll:
        """Builds the compiled trainer of a supernet.

        Raises:
            ValueError: If a budget cannot be met, or devices cannot share a batch equally.
        """
        self.distribution.check_batch(self.config.batch_size, parts=self.config.gradient_accumulation)
        pool, groups = self.pool_spec(supernet), self.find_groups(supernet)
        macs = Costs(groups).macs(ChannelMask.full(groups), self.images.resolution)
        with self.distribution.strategy.scope():
            trainer = OnceForAll(
                supernet,
                pool=pool,
                step=self.steps.spec(macs=macs),
                task=self.task,
                groups=groups,
                seed=self.config.seed,
                teacher=self._teacher(),
            )
            self.steps.compile(trainer)
            return trainer

    def _teacher(self) -> keras.Model | None:
        if self.config.teacher is None:
            return None
        teacher = models.read_teacher(self.config.teacher, classes=len(self.images.dataset.class_names))
        size = fixed_size(teacher) or self.images.resolution
        models.check_resolutions(teacher, {"--teacher": [Size.of(size)]})
        return teacher

    def notes(self, trainer: OnceForAll) -> list[str]:
        """Returns what a user should know of a run that is about to begin, a line each."""
        notes = [*self.images.completion.notes]
        if self.config.single_budget:
            # In bytes a budget takes conversions to find, and is the only one of the pool that knows them.
            in_bytes = [budget for budget in trainer.budgets if budget.file_bytes]
            wanted = (in_bytes or self._given_budgets(trainer.supernet))[0].name
            names = ", ".join(budget.name for budget in trainer.budgets)
            notes.append(
                f"A single budget is trained among neighbours, 5 % of the whole network apart (Section 4.3): {names}. "
                f"--only={wanted} exports it alone."
            )
        shrinkage = self.steps.shrinkage if self.config.epochs_of_search and trainer.importance in BY_GAMMA else 0.0
        if shrinkage and self.config.optimizer == "sgd":
            notes.append(
                f"The L1 penalty can shrink a gamma by {shrinkage:.2g} over the longest search (--gamma_shrink)."
            )
        if networks := self.config.networks_to_compile:
            notes.append(f"XLA compiles {networks} networks as they first run: {networks} minutes at ImageNet's size.")
        return notes

    def find_groups(self, supernet: keras.Model) -> ChannelGroups:
        """Finds the channel groups of a supernet, less those that the user excluded; those of the last one are known.

        Raises:
            ValueError: If nothing can be pruned, or a group to exclude does not exist.
        """
        if self._found is None or self._found[0] is not supernet:
            groups = find_channel_groups(
                supernet,
                prune_residual_stream=self.config.prune_residual_stream,
                excluded=self.group_choices.excluded,
                outside=self.run_task.outside,
            )
            self._found = supernet, groups
        return self._found[1]

    def rules(self, groups: ChannelGroups) -> MaskRules:
        """What every mask of a supernet must respect; floors are the task's where the user has not set them."""
        if self.config.takes_structures:
            return MaskRules(1, 1)
        floors = {**self.run_task.floors(groups), **self.group_choices.floors}
        return MaskRules(self.config.min_channels, self.config.channel_round_to, floors)

    def _given_budgets(self, supernet: keras.Model) -> list[Budget]:
        groups, size = self.find_groups(supernet), self.images.resolution
        found = self.run_task.found_masks(groups, size=size)
        return given_budgets(self.config, supernet, groups, size=size, rules=self.rules(groups), found=found)

    def _budgets(self, supernet: keras.Model) -> list[Budget]:
        """The budgets of the run; with its neighbours where there is one only."""
        given = self._given_budgets(supernet)
        if not self.config.single_budget:
            return given
        groups = self.find_groups(supernet)
        size, rules = self.images.resolution, self.rules(groups)
        return list(with_neighbours(given[0], groups, resolution=size, rules=rules, predictor=self.predictor))
