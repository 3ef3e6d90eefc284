"""What an epoch shows of its steps: the mean loss of each role, and how well the teacher does."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.training.sandwich_pass import Outcome

# Of a loss in float32.
_ROUNDING = 1e-7


class StepMetrics:
    """Running means over the steps of an epoch.

    Args:
        roles: The names of the networks of all steps.
        progress: The name of what the task says of the teacher on training batches, see `Task.metric`.
    """

    def __init__(self, roles: Sequence[str], *, progress: str):
        self._losses = {role: keras.metrics.Mean(name=f"{role}_loss", dtype="float32") for role in roles}
        self._progress = keras.metrics.Mean(name=progress, dtype="float32")

    @property
    def losses(self) -> list[str]:
        """The names of the losses of all roles."""
        return [metric.name for metric in self._losses.values()]

    @property
    def steps(self) -> int:
        """How many steps the present means are of; of several devices, the steps of all."""
        return int(np.sum(self._progress.count))

    def of(self, roles: Sequence[str]) -> list[keras.metrics.Mean]:
        """Returns the means of some roles' losses, in that order, and that of the progress."""
        return [*(self._losses[role] for role in roles), self._progress]

    def update(self, outcome: Outcome, *, roles: Sequence[str], strategy: tf.distribute.Strategy) -> dict[str, Any]:
        """Adds what a step came to.

        Args:
            outcome: Of the first networks of `roles`, or of all.
            roles: The names of a step's networks, the largest first.
            strategy: The one that the step runs in.

        Returns:
            What Keras is to log, by the name of the metric: scalars, or with several processes float32 `[1]`.
        """
        # What a mean counts needs no image, and would be counted once more where data end within a step.
        with tf.control_dependencies([outcome.losses]):
            return self._updated(outcome, roles=roles, strategy=strategy)

    def _updated(self, outcome: Outcome, *, roles: Sequence[str], strategy: tf.distribute.Strategy) -> dict[str, Any]:
        metrics = self.of(roles)
        for metric, loss in zip(metrics, tf.unstack(outcome.losses), strict=False):
            # The divergence of networks that agree is zero except for rounding, on either side of it.
            metric.update_state(tf.where(loss < _ROUNDING, 0.0, loss))
        self._progress.update_state(outcome.progress)
        logs = {metric.name: metric.result() for metric in metrics}
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            # Keras averages what several processes log along the first axis.
            return {name: value[tf.newaxis] for name, value in logs.items()}
        return logs
