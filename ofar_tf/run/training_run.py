"""One training run, from its checks to its last epoch, in its run directory."""

import dataclasses
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import tensorflow as tf

from ofar_tf.devices.accelerators import is_accelerated
from ofar_tf.devices.distribution import Distribution, SameWeights, distribute
from ofar_tf.evaluation.results_log import ResultsLog, read_results
from ofar_tf.files import atomic_file
from ofar_tf.models.user_modules import user_modules_of
from ofar_tf.run.completion import begun_with
from ofar_tf.run.config_file import to_json
from ofar_tf.run.environment import note_session
from ofar_tf.run.experiment import Experiment
from ofar_tf.run.phase_lines import PhaseLines
from ofar_tf.run.rehearsal import rehearse_cutting
from ofar_tf.run.run_dir import RunDir
from ofar_tf.run.run_facts import RunFacts, facts_of, keep_facts
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.run.validation import Validation
from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.tasks.task import Metric
from ofar_tf.training.callbacks import SaveCheckpoint, StopOnDivergence
from ofar_tf.training.checkpoints import Checkpoints, restore_training
from ofar_tf.training.epoch_steps import EpochSoFar, EpochSteps
from ofar_tf.training.once_for_all import OnceForAll
from ofar_tf.training.preemption import Preemption

# An accelerator waits while its losses are fetched. So many steps it may go on by itself; a loss that is no number ends
# the run as many steps later at most.
_STEPS_UNSEEN = 50


@dataclass(frozen=True)
class TrainingRun:
    """A run that has passed every check and is ready to train.

    Of several processes one writes; the others measure and search with it, and keep nothing.

    Attributes:
        experiment: Its data and models.
        run_dir: Where it is saved.
        model: The compiled trainer.
        search: The search callback.
        epochs_done: Epochs that an earlier start of the same run has done.
        so_far: What the epoch after them had come to, if that start ended within it.
    """

    experiment: Experiment
    run_dir: RunDir
    model: OnceForAll
    search: MaskSearch
    epochs_done: int
    so_far: EpochSoFar | None = None

    def train(self) -> None:
        """Trains to the last epoch and saves the supernet.

        Raises:
            DivergenceError: If a loss or a weight is no longer finite.
            PreemptedError: If the system asked the process to end; all finished steps are saved.
            LostProcessError: If another process of the run has ended.
            DamagedImageError: If an image cannot be read.
        """
        try:
            self._train()
        finally:
            self.run_dir.release()

    def _train(self) -> None:
        distribution = self.experiment.distribution
        # What the others write is for nobody.
        place = nullcontext(self.run_dir.path) if distribution.writes else TemporaryDirectory()
        with self.experiment.images.reading(), distribution.watched(), place as folder:
            if distribution.writes:
                self._begin()
            self._fit(self.run_dir if distribution.writes else RunDir(Path(folder)))
            if distribution.writes:
                self._end()
            distribution.wait()

    def _begin(self) -> None:
        distribution, config = self.experiment.distribution, self.experiment.config
        note_session(self.run_dir.environment, dtype_policy=config.dtype_policy)
        for note in self.experiment.images.data_notes:
            print(note)
        atomic_file.write_text(self.run_dir.labels, "\n".join(self.experiment.images.dataset.class_names) + "\n")
        if distribution.replicas > 1:
            share = config.batch_size // distribution.replicas
            print(f"Batches of {config.batch_size} images, {share} on each of {distribution.replicas} devices.")
        for note in self.experiment.notes(self.model):
            print(note)

    def _fit(self, run_dir: RunDir) -> None:
        config = self.experiment.config
        shows = config.progress and self.experiment.distribution.writes
        start_step = self.so_far.step if self.so_far else 0
        preemption = Preemption()
        # The process that writes ends the run; if the others ended first, it could not.
        preemption.something_to_lose = not self.experiment.distribution.writes
        with preemption.noticed():
            self.model.fit(
                self.experiment.images.training_batches(start_epoch=self.epochs_done, start_step=start_step),
                initial_epoch=self.epochs_done,
                epochs=config.all_epochs,
                steps_per_epoch=self.experiment.images.steps_per_epoch,
                callbacks=self._callbacks(run_dir, preemption),
                trusted=True,
                verbose=(1 if sys.stdout.isatty() else 2) if shows else 0,
            )

    def _end(self) -> None:
        if self.model.pool is not None:
            # Again: the search wrote it, maybe days ago, and what became of it since is not known.
            atomic_file.write_text(self.run_dir.pool, self.model.pool.to_json())
        self.model.pool_weights.save(self.run_dir.own_weights)
        with atomic_file.replacing(self.run_dir.supernet) as path:
            self.model.supernet.save(path)
            self.run_dir.seal(path)

    def _callbacks(self, run_dir: RunDir, preemption: Preemption) -> list[Any]:
        config, distribution = self.experiment.config, self.experiment.distribution
        steps = EpochSteps(
            self.experiment.images.steps_per_epoch,
            resumed=self.so_far,
            look_every=_STEPS_UNSEEN if is_accelerated() else 1,
        )
        callbacks: list[Any] = [steps, SameWeights(distribution), StopOnDivergence(), self.search]
        if distribution.writes:
            callbacks.append(self._phase_lines())
        if config.validation_every:
            callbacks.append(self._results_log(run_dir, steps))
        if distribution.writes:
            callbacks.append(keras.callbacks.TensorBoard(run_dir.path, write_graph=False))
            callbacks.append(
                SaveCheckpoint(
                    Checkpoints(run_dir.checkpoints),
                    self.search,
                    steps=steps,
                    every_steps=config.checkpoint_steps,
                    preemption=preemption,
                )
            )
        return callbacks

    def _phase_lines(self) -> PhaseLines:
        wants_lines = self.experiment.config.progress and not sys.stdout.isatty()
        return PhaseLines(
            search_epochs=self.search.epochs,
            steps_per_epoch=self.experiment.images.steps_per_epoch,
            line_every=60.0 if wants_lines else None,
        )

    def _results_log(self, run_dir: RunDir, steps: EpochSteps) -> ResultsLog:
        return ResultsLog(
            run_dir.results,
            run_dir.curves,
            metric=self.model.task.metric,
            measure=Validation(self.experiment, self.model),
            every=self.experiment.config.validation_every,
            done=self.epochs_done,
            steps=steps,
        )


def prepare(config: TrainConfig) -> TrainingRun | None:
    """Checks everything that can be wrong with a run, before any training, and takes its folder.

    Args:
        config: The settings of the run.

    Returns:
        The run, continued where an earlier start of it ended; `None` if it is finished.

    Raises:
        ValueError: If a setting, the data set or the model does not fit, or the folder belongs to another run.
        OSError: If a file is missing or the folder cannot be written, or another process of the run has ended.
    """
    run_dir, config = RunDir(Path(config.run_dir)), begun_with(config)
    if run_dir.supernet.exists():
        run_dir.claim(config)
        return None
    distribution = distribute(config.distribution)
    with distribution.watched():
        return _prepare(run_dir, config, distribution)


def _prepare(run_dir: RunDir, config: TrainConfig, distribution: Distribution) -> TrainingRun:
    alike = dataclasses.replace(config, run_dir="shared", data_dir=None, download=False, progress=False)
    distribution.check_same("settings", lambda: [to_json(alike).encode()])
    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    experiment = Experiment(config, distribution=distribution)
    experiment.images.check_data_dir()
    experiment.images.check_place(run_dir.path)
    # What is written down is what is done, not what other versions may take for the method's default.
    config = experiment.config
    experiment.images.check_splits()
    experiment.images.training_batches(start_epoch=0)
    experiment.images.calibration_batches()
    experiment.images.evaluation_batches()
    supernet = experiment.build_supernet()
    facts = facts_of(experiment, supernet, user_modules_of(supernet, config.model))
    model = experiment.build_trainer(supernet)
    if experiment.has_users_network:
        facts.user_modules.load()
        smallest = model.derive_masks()[-1]
        rehearse_cutting(supernet, smallest, size=model.resolutions[-1], find_groups=experiment.find_groups)
    search = MaskSearch(
        config.similarity_threshold,
        epochs=config.epochs_of_search,
        patience=config.similarity_patience,
        window=config.similarity_window,
        measure=config.similarity_measure,
        directory=run_dir.path if distribution.writes else None,
        found=experiment.run_task.found_masks(model.groups, size=model.resolutions[0]),
    )
    if distribution.writes:
        _take(run_dir, config, model.task.metric)
        _say_what_batch_norm_sees(keep_facts(run_dir, facts, experiment.images.dataset), facts, config)
    epochs_done, so_far = _go_on(model, search, experiment, Checkpoints(run_dir.checkpoints))
    if distribution.writes and not epochs_done and so_far is None and run_dir.environment.exists():
        print(f"Note: {run_dir.checkpoints} has no checkpoint of the earlier start: the run begins anew at epoch 1.")
    return TrainingRun(experiment, run_dir, model, search, epochs_done, so_far)


def _go_on(
    model: OnceForAll, search: MaskSearch, experiment: Experiment, checkpoints: Checkpoints
) -> tuple[int, EpochSoFar | None]:
    """Restores the newest checkpoint, if there is one; returns the epochs done, and what the next has come to."""
    epochs_done, state = checkpoints.latest() or (0, {})
    config = experiment.config
    if epochs_done > config.all_epochs:
        raise ValueError(
            f"Expected a checkpoint of at most {config.all_epochs} epochs. Received: one of {epochs_done}."
        )
    so_far = EpochSoFar.read(state)
    if state:
        restore_training(model, search, state)
    if so_far is not None:  # Compared with the metrics of the phase that it is from.
        so_far.require_fits(model, steps_per_epoch=experiment.images.steps_per_epoch)
    return epochs_done, so_far


def _say_what_batch_norm_sees(began: RunFacts, now: RunFacts, config: TrainConfig) -> None:
    if began.batch_norm_parts != now.batch_norm_parts:
        before, after = (config.batch_size // facts.batch_norm_parts for facts in (began, now))
        print(
            f"Note: BatchNorm normalized {before} images at a time when the run began and normalizes {after} from here "
            "on, because other devices share a batch. That changes results a little."
        )


def _take(run_dir: RunDir, config: TrainConfig, metric: Metric) -> None:
    """Takes the folder of a run, and clears away what a killed start left in it."""
    run_dir.claim(config)
    run_dir.keep_inputs(config)
    # Half of a large checkpoint may be in it.
    atomic_file.remove_unfinished(run_dir.path)
    read_results(run_dir.results, metric)
