"""The steps of a run: what each of them does, at what learning rate, and with which optimizer."""

import dataclasses
from typing import Any

from ofar_tf.devices.accelerators import is_accelerated
from ofar_tf.run.run_images import RunImages
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.training.epoch_steps import steps_at_once
from ofar_tf.training.once_for_all import OnceForAll
from ofar_tf.training.optimizer_state import build_optimizer
from ofar_tf.training.schedules import SearchThenDecay
from ofar_tf.training.search_execution import faster_execution
from ofar_tf.training.step_spec import StepSpec


@dataclasses.dataclass(frozen=True)
class RunSteps:
    """What the settings of a run and the number of its images make of its steps.

    Attributes:
        images: The images of the run, which know its settings.
    """

    images: RunImages

    @property
    def _config(self) -> TrainConfig:
        return self.images.config

    def spec(self, *, macs: int) -> StepSpec:
        """Says what a step does: the settings of the same names, where they leave a choice the one that suits.

        Args:
            macs: Multiply-adds of the whole network on one image.
        """
        config = self._config
        found: dict[str, Any] = {
            "gamma_l1": self.gamma_l1,
            "decoupled_weight_decay": config.optimizer == "adamw",
            "search_execution": self._search_execution(macs),
        }
        same: dict[str, Any] = {
            field.name: getattr(config, field.name) for field in dataclasses.fields(StepSpec) if field.name not in found
        }
        return StepSpec(**same, **found)

    @property
    def gamma_l1(self) -> float:
        """The L1 penalty on gammas: as given, or such that the longest search shrinks them by what is wanted."""
        shrink = self._config.gamma_shrink
        return self._config.gamma_l1 if shrink is None else shrink / self._shift_of_gammas

    @property
    def shrinkage(self) -> float:
        """By how much the penalty shrinks a gamma over the longest search at most; right for SGD alone."""
        return self.gamma_l1 * self._shift_of_gammas

    @property
    def _shift_of_gammas(self) -> float:
        """How far a constant gradient of 1 moves a weight over the longest search, by SGD with momentum (D27)."""
        config = self._config
        rate = config.search_learning_rate or config.learning_rate
        steps = max(1, config.epochs_of_search * self.images.steps_per_epoch)
        return rate * config.body_learning_rate * steps / (1.0 - config.momentum)

    def _search_execution(self, macs: int) -> str:
        config = self._config
        if config.search_execution != "auto":
            return config.search_execution
        images = self.images.steps_per_epoch * config.batch_size
        return faster_execution(macs, images=images, accelerated=is_accelerated())

    @property
    def per_execution(self) -> int:
        """How many steps run at once: as given, or what suits the device."""
        usual = steps_at_once(self.images.steps_per_epoch) if is_accelerated() else 1
        return self._config.steps_per_execution or usual

    def compile(self, trainer: OnceForAll) -> None:
        """Gives a trainer its optimizer, with the learning rates of the run.

        Args:
            trainer: One of the run's network.
        """
        config, epoch = self._config, self.images.steps_per_epoch
        schedule = SearchThenDecay(
            config.learning_rate,
            search=config.search_learning_rate or config.learning_rate,
            search_steps=trainer.search_steps,
            total_steps=config.epochs * epoch,
            decay=config.learning_rate_decay,
            warmup_steps=round(config.warmup_epochs * epoch),
            head_steps=config.head_epochs * epoch,
            finetune=config.finetune_learning_rate or config.learning_rate / 10,
            finetune_steps=config.finetune_structures * epoch,
        )
        trainer.compile(
            build_optimizer(config.optimizer, schedule, momentum=config.momentum, ema_momentum=config.ema_momentum),
            steps_per_execution=min(self.per_execution, epoch),
        )
