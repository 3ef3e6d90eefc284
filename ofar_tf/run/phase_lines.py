"""What a run is doing and how long it will take, in a line for each phase."""

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ofar_tf.text.durations import format_duration

# The first step of a phase builds its graph; the next ones are what steps take.
_STEPS_TIMED = 3
_WHAT = {
    "head": "The head alone, before {} structures are searched",
    "search": "Search of {} structures",
    "joint": "Joint training of {} structures",
    "finetune": "Each of {} structures alone, on the labels",
}


class PhaseLines(keras.callbacks.Callback):
    """Prints a line when a phase of the run begins, and one when its first steps say how long the run will take.

    Args:
        search_epochs: Most epochs of the search.
        steps_per_epoch: Steps of an epoch.
        line_every: Seconds between lines that say how far the run has come, where no progress bar does; None for none.
        clock: Returns seconds.
    """

    def __init__(
        self,
        *,
        search_epochs: int,
        steps_per_epoch: int,
        line_every: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        super().__init__()
        self.search_epochs = search_epochs
        self.steps_per_epoch = steps_per_epoch
        self.line_every = line_every
        self._clock = clock
        self._phase = ""
        self._first: tuple[int, float] | None = None
        self._said = False
        self._last = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Says which phase begins, if one does."""
        if self.model.phase == self._phase:
            return
        self._phase, self._first, self._said = self.model.phase, None, False
        epochs = self.params["epochs"]
        last = {
            "head": self.model.step.head_epochs,
            "search": f"at most {self.model.step.head_epochs + self.search_epochs}",
            "joint": epochs - self.model.step.finetune_structures,
            "finetune": epochs,
        }[self._phase]
        print(
            f"{_WHAT[self._phase].format(len(self.model.budgets))}: epochs {epoch + 1} to {last} of {epochs}, "
            f"{self.steps_per_epoch} steps each. The first step builds graphs and takes longer.{self._more}",
            flush=True,
        )

    @property
    def _more(self) -> str:
        if self._phase == "search" and self.model.step.search_execution == "sliced":
            return " So do the first ones of later epochs, while masks change."
        if self._phase == "finetune":
            return " From here on structures share nothing that is trained; the supernet stays as it is."
        return ""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Says how long the run will take, once steps of the phase were timed, and after that how far it has come."""
        if self._said and self.line_every is None:
            return
        now, done = self._clock(), int(np.asarray(self.model.optimizer.iterations))
        if self._first is None or done == self._first[0]:  # As long as steps of an earlier start are passed over.
            self._first = done, now
        elif done - self._first[0] >= _STEPS_TIMED:
            step = (now - self._first[1]) / (done - self._first[0])
            left = format_duration(step * (self.params["epochs"] * self.steps_per_epoch - done))
            if not self._said:
                print(f"\nAbout {left} left at {step:.2g} s a step, measurements not counted.", flush=True)
                self._said, self._last = True, now
            elif self.line_every is not None and now - self._last >= self.line_every:
                epoch, steps = divmod(done, self.steps_per_epoch)
                print(f"Epoch {epoch + 1}, {steps} of {self.steps_per_epoch} steps: about {left} left.", flush=True)
                self._last = now
