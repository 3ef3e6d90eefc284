"""What happens after steps and epochs besides search and measurement: a run is saved, or ended before it is spoiled."""

import math
from typing import Any

import keras
import numpy as np

from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.training.checkpoints import WHEN, Checkpoints, saved_variables, training_state
from ofar_tf.training.epoch_steps import EpochSteps
from ofar_tf.training.preemption import Preemption


class DivergenceError(RuntimeError):
    """A loss or a weight is no longer a finite number."""


class SaveCheckpoint(keras.callbacks.Callback):
    """Saves the run after every epoch, and within one. It must come last of the callbacks, to see what they changed.

    Args:
        checkpoints: Where to.
        search: The search callback of the same run.
        steps: Counts the steps of the same run; without it, nothing is saved within an epoch.
        every_steps: Steps between two checkpoints within an epoch, at least 1; `None` for none.
        preemption: Where it was noticed, the run is saved after the step and ended.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        search: MaskSearch,
        *,
        steps: EpochSteps | None = None,
        every_steps: int | None = None,
        preemption: Preemption | None = None,
    ):
        super().__init__()
        self.checkpoints = checkpoints
        self.search = search
        self.steps = steps
        self.every_steps = every_steps
        self.preemption = preemption or Preemption()
        self._epoch = 0
        self._saved = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Notes where the epoch begins."""
        self._epoch = epoch
        self._saved = self.steps.passed_over if self.steps else 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Saves where it is time for it.

        Raises:
            PreemptedError: If the process was asked to end.
        """
        if self.steps is None or (done := self.steps.done(batch)) <= self._saved:
            return
        self.preemption.something_to_lose = True
        whole = done == self.steps.steps_per_epoch
        due = self.every_steps is not None and done // self.every_steps > self._saved // self.every_steps
        if self.preemption.requested or (due and not whole):
            self._save(self._epoch, done, self.steps.so_far(batch).arrays())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Saves.

        Raises:
            PreemptedError: If the process was asked to end.
        """
        self._save(epoch + 1, 0, {})

    def _save(self, epoch: int, step: int, more: dict[str, np.ndarray]) -> None:
        if step:
            refuse_what_is_not_finite(self.model, epoch)
        state = {**training_state(self.model, self.search), **more, WHEN: np.array([epoch, step])}
        self.checkpoints.save(epoch, state, **({"step": step} if step else {}))
        self._saved = step
        if self.preemption.requested:
            self.preemption.end()
        self.preemption.something_to_lose = False


class StopOnDivergence(keras.callbacks.Callback):
    """Ends the run when a loss or a weight is NaN or infinite, before it is saved. It must come first of the callbacks.

    The losses are means over the epoch so far, so one that is spoiled stays so, and is seen when they are next looked
    at: after the same step, or within as many as `EpochSteps` leaves on an accelerator. All that a checkpoint holds,
    what structures and the optimizer own included, is looked at as well when the epoch ends, because its last update
    can spoil it after its last loss.
    """

    def __init__(self) -> None:
        super().__init__()
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Notes the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks at the losses; Keras has fetched them already, for its progress bar and for TensorBoard.

        Raises:
            DivergenceError: If one is not finite.
        """
        _refuse(_not_finite(logs), self._epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Looks at the epoch's losses and at the weights it ended with.

        Raises:
            DivergenceError: If one is not finite.
        """
        _refuse(_not_finite(logs), epoch)
        refuse_what_is_not_finite(self.model, epoch)


def refuse_what_is_not_finite(model: Any, epoch: int) -> None:
    """Looks at all that a checkpoint of a trainer would hold.

    Args:
        model: The trainer, compiled.
        epoch: The epoch, counted from 0.

    Raises:
        DivergenceError: If a weight, or what the optimizer keeps of it, is not finite.
    """
    variables = saved_variables(model).values()
    _refuse([each.path for each in variables if not np.isfinite(np.asarray(each)).all()], epoch)


def _refuse(broken: list[str], epoch: int) -> None:
    if broken:
        raise DivergenceError(
            f"Expected finite losses and weights. Received: {broken[0]} and {len(broken) - 1} others not finite in "
            f"epoch {epoch + 1}, which is not saved. Begin a new run with a lower learning rate."
        )


def _not_finite(logs: Any) -> list[str]:
    return [name for name, value in (logs or {}).items() if not math.isfinite(value)]
