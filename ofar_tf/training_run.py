"""One training run, from its checks to its last epoch, in its run directory."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from ofar_tf import atomic_file
from ofar_tf.config import TrainConfig
from ofar_tf.deploy.pool_accuracy import PoolAccuracy, PoolImages
from ofar_tf.environment import note_session
from ofar_tf.experiment import Experiment
from ofar_tf.run_dir import RunDir
from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.training.callbacks import SaveCheckpoint, StopOnDivergence
from ofar_tf.training.checkpoints import Checkpoints, restore_training
from ofar_tf.training.once_for_all import OnceForAll
from ofar_tf.training.results_log import ResultsLog, SubnetResult


@dataclass(frozen=True)
class TrainingRun:
    """A run that has passed every check and is ready to train.

    Attributes:
        experiment: Its data and models.
        run_dir: Where it is saved.
        model: The compiled trainer.
        search: The search callback.
        epochs_done: Epochs that an earlier start of the same run has done.
    """

    experiment: Experiment
    run_dir: RunDir
    model: OnceForAll
    search: MaskSearch
    epochs_done: int

    def train(self) -> None:
        """Trains to the last epoch and saves the supernet."""
        config = self.experiment.config
        note_session(self.run_dir.environment)
        atomic_file.write_text(self.run_dir.labels, "\n".join(self.experiment.dataset.class_names) + "\n")
        self.model.fit(
            self.experiment.training_batches(start_epoch=self.epochs_done),
            initial_epoch=self.epochs_done,
            epochs=config.epochs,
            steps_per_epoch=self.experiment.steps_per_epoch,
            callbacks=self._callbacks(),
            verbose=(1 if sys.stdout.isatty() else 2) if config.progress else 0,
        )
        self.model.pool_weights.save(self.run_dir.own_weights)
        with atomic_file.replacing(self.run_dir.supernet) as path:
            self.model.supernet.save(path)

    def _callbacks(self) -> list[Any]:
        config, callbacks = self.experiment.config, [StopOnDivergence(), self.search]
        if config.validation_every:
            callbacks.append(
                ResultsLog(
                    self.run_dir.results,
                    self.run_dir.curves,
                    measure=_Validation(self.experiment, self.model),
                    every=config.validation_every,
                    done=self.epochs_done,
                )
            )
        tensorboard = keras.callbacks.TensorBoard(self.run_dir.path, write_graph=False)
        checkpoints = Checkpoints(self.run_dir.checkpoints)
        return [*callbacks, tensorboard, SaveCheckpoint(checkpoints, self.search)]


class _Validation:
    """Measures the networks in force at the largest resolution, on part of the evaluation split."""

    def __init__(self, experiment: Experiment, model: OnceForAll):
        images = experiment.config.validation_images
        self._accuracy = PoolAccuracy(
            model.supernet,
            model.groups,
            PoolImages(
                calibration=lambda: experiment.calibration_batches(
                    images=min(images or 1000, experiment.config.calibration_images)
                ),
                evaluation=lambda: experiment.evaluation_batches(images=images),
            ),
            weights_of=model.weights_of,
        )

    def __call__(self, model: OnceForAll) -> list[SubnetResult]:
        resolution = model.resolutions[0]
        with model.averaged_weights():
            if model.pool is None:
                names = [budget.name for budget in model.budgets]
                accuracies = self._accuracy.measure_masked(model.masks, resolution=resolution)
            else:
                names = [network.name for network in model.pool]
                accuracies = list(self._accuracy.measure(model.masks, resolutions=[resolution]).values())
        return [
            SubnetResult(
                structure=name,
                rate=mask.rate,
                resolution=resolution,
                macs=model.costs.macs(mask, resolution),
                params=model.costs.params(mask),
                top1=accuracy.top1,
                top5=accuracy.top5,
                images=accuracy.images,
            )
            for name, mask, accuracy in zip(names, model.masks, accuracies, strict=True)
        ]


def prepare(config: TrainConfig) -> TrainingRun | None:
    """Checks everything that can be wrong with a run, before any training, and takes its folder.

    Args:
        config: The settings of the run.

    Returns:
        The run, continued where an earlier start of it ended; `None` if it is finished.

    Raises:
        ValueError: If a setting, the data set or the model does not fit, or the folder belongs to another run.
        OSError: If a file is missing or the folder cannot be written.
    """
    run_dir = RunDir(Path(config.run_dir))
    if run_dir.supernet.exists():
        run_dir.claim(config)
        return None
    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    experiment = Experiment(config)
    experiment.training_batches(start_epoch=0)
    experiment.calibration_batches()
    experiment.evaluation_batches()
    model = experiment.build_trainer(experiment.build_supernet())
    search = MaskSearch(
        config.similarity_threshold,
        epochs=config.search_epochs,
        patience=config.similarity_patience,
        directory=run_dir.path,
    )
    run_dir.claim(config)
    if config.groups:
        run_dir.keep_groups(Path(config.groups))
    for unfinished in list(run_dir.path.rglob(".partial_*")):
        # What a killed start was writing, see `atomic_file`; half of a large checkpoint may be in it.
        shutil.rmtree(unfinished)
    saved = Checkpoints(run_dir.checkpoints).latest()
    if saved is not None:
        restore_training(model, search, saved[1])
    return TrainingRun(experiment, run_dir, model, search, epochs_done=saved[0] if saved else 0)
