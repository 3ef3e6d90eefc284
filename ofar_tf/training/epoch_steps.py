"""Epochs of exactly as many steps as planned, the first of which may begin in its middle."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np


@dataclass(frozen=True)
class EpochSoFar:
    """What an epoch that is not over has come to, besides the weights.

    Attributes:
        step: How many of its steps are done, at least 1.
        learning_rate: The one that it began with.
        sums: What the means of its losses are made of: for each variable of the metrics, its values on the devices of
            this process, `[devices, ...]`.
    """

    step: int
    learning_rate: float
    sums: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, model: keras.Model, *, step: int, learning_rate: float) -> "EpochSoFar":
        """Reads it off a model that is being trained."""
        sums = tuple(np.stack([np.asarray(value) for value in _on_devices(model, v)]) for v in _variables(model))
        return cls(step, learning_rate, sums)

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns it as arrays by name, for a checkpoint."""
        sums = {f"epoch/sums/{index}": value for index, value in enumerate(self.sums)}
        rate = np.array(self.learning_rate, np.float64)
        return {"epoch/step": np.array(self.step, np.int64), "epoch/learning_rate": rate, **sums}

    @classmethod
    def read(cls, state: Mapping[str, np.ndarray]) -> "EpochSoFar | None":
        """Reads `arrays` back from a checkpoint.

        Args:
            state: The arrays of a checkpoint.

        Returns:
            `None` where it was written between two epochs.

        Raises:
            ValueError: If the arrays are not what `arrays` returned.
        """
        if "epoch/step" not in state:
            return None
        try:
            sums = (state[f"epoch/sums/{index}"] for index in range(sum("epoch/sums/" in name for name in state)))
            return cls(int(state["epoch/step"]), float(state["epoch/learning_rate"]), tuple(sums))
        except (KeyError, TypeError) as error:
            raise ValueError(f"Expected a checkpoint from within an epoch. Received: {error!r}.") from error

    def require_fits(self, model: keras.Model, *, steps_per_epoch: int) -> None:
        """Compares it with the model that is to go on.

        Raises:
            ValueError: If more steps are done than an epoch has, or the model has other metrics.
        """
        _require_within(self.step, steps_per_epoch)
        count = len(_variables(model))
        if len(self.sums) != count or any(values.dtype != np.float32 or not values.size for values in self.sums):
            raise ValueError(
                f"Expected a checkpoint with the sums of {count} metrics, float32. Received: "
                f"{[str(values.dtype) for values in self.sums]!r:.80}."
            )

    def put_back(self, model: keras.Model) -> None:
        """Gives the metrics of a model these values; on another number of devices, each gets their mean."""
        for variable, values in zip(_variables(model), self.sums, strict=True):
            locals_ = _on_devices(model, variable)
            same = len(locals_) == len(values)
            for index, local in enumerate(locals_):
                local.assign(values[index] if same else values.mean(axis=0))


def _require_within(step: int, steps_per_epoch: int) -> None:
    if not 1 <= step <= steps_per_epoch:
        raise ValueError(
            f"Expected a checkpoint from within an epoch of {steps_per_epoch} steps. Received: one after {step} steps."
        )


def _variables(model: keras.Model) -> list[Any]:
    return [variable for metric in model.metrics for variable in metric.variables]


def _on_devices(model: keras.Model, variable: Any) -> tuple[Any, ...]:
    local: tuple[Any, ...] = model.distribute_strategy.experimental_local_results(variable.value)
    return local


def steps_at_once(steps_per_epoch: int) -> int:
    """Returns how many steps to hand to a fast device at once: about ten, of which an epoch is a multiple if it can be.

    Steps that are left over run one by one, for which the step would be traced a second time.

    Args:
        steps_per_epoch: At least 1.
    """
    nearest_first = sorted(range(5, 16), key=lambda count: abs(count - 10))
    fitting = (count for count in nearest_first if steps_per_epoch % count == 0)
    return min(next(fitting, 10), steps_per_epoch)


class EpochSteps(keras.callbacks.Callback):
    """Makes every epoch as long as planned, and lets the first begin where a checkpoint was written within it.

    Keras runs whole executions of `steps_per_execution` steps: it would take 12 steps for 10 in executions of 4. Here
    what is left of an epoch is run step by step. Steps that were done before the run was broken off are passed over: no
    batch is read, and the other callbacks see the numbers of the steps as if it had not been.

    It must come first of the callbacks. `fit` must be given `steps_per_epoch`, and batches that begin behind the steps
    that are done.

    Keras fetches the losses for callbacks after every execution, and waits for the device meanwhile. With `look_every`
    most executions hand on none, and stay on the device.

    Args:
        steps_per_epoch: Steps of an epoch, at least 1.
        resumed: What the first epoch had come to; `None` to begin it at its beginning.
        look_every: After how many steps callbacks see the losses; they see them after the last one too.

    Raises:
        ValueError: If more steps are done than an epoch has, or `look_every` is below 1.
    """

    def __init__(self, steps_per_epoch: int, *, resumed: EpochSoFar | None = None, look_every: int = 1):
        super().__init__()
        if resumed is not None:
            _require_within(resumed.step, steps_per_epoch)
        if look_every < 1:
            raise ValueError(f"Expected to look at losses every step or less often. Received: look_every={look_every}.")
        self.steps_per_epoch = steps_per_epoch
        self.look_every = look_every
        self.learning_rate = 0.0
        """The learning rate that the epoch began with."""
        self.passed_over = 0
        """How many steps of the epoch an earlier start of the run had done."""
        self._resumed = resumed
        self._begin = 0
        self._whole: Any = None
        self._single: Any = None

    def done(self, batch: int) -> int:
        """Returns how many steps of the epoch are done when Keras says that a batch has ended."""
        return min(batch + 1, self.steps_per_epoch)

    def so_far(self, batch: int) -> EpochSoFar:
        """Returns what the epoch has come to when a batch has ended."""
        return EpochSoFar.of(self.model, step=self.done(batch), learning_rate=self.learning_rate)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begins the epoch, or goes on with it."""
        self.learning_rate, self.passed_over = float(self.model.optimizer.learning_rate), 0
        if self._resumed is not None:
            self._resumed.put_back(self.model)
            self.learning_rate, self.passed_over = self._resumed.learning_rate, self._resumed.step
            self._resumed = None

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Takes the place of the function that Keras is about to call: it looks it up before every execution."""
        self._begin = batch
        if self.model.train_function != self._run:
            self._whole, self._single = self.model.train_function, None
            self.model.train_function = self._run

    def _run(self, iterator: Any) -> Any:
        at_once: int = self.model.steps_per_execution
        end = min(self._begin + at_once, self.steps_per_epoch)
        count = end - max(self._begin, self.passed_over)
        if count <= 0:
            return self.model.get_metrics_result()
        logs = self._whole(iterator) if count == at_once else self._one_by_one(iterator, count)
        due = end == self.steps_per_epoch or end // self.look_every > self._begin // self.look_every
        return logs if due else {}

    def _one_by_one(self, iterator: Any, count: int) -> Any:
        model, at_once = self.model, self.model.steps_per_execution
        model.steps_per_execution = 1  # Read where the function is made and where it is traced.
        try:
            if self._single is None:
                model.make_train_function(force=True)
                self._single, model.train_function = model.train_function, self._run
            logs: Any = None
            for _ in range(count):
                logs = self._single(iterator)
            return logs
        finally:
            model.steps_per_execution = at_once
