"""What happens after each epoch besides search and measurement: the run is saved, or stopped before it is spoiled."""

import math
from typing import Any

import keras
import numpy as np

from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.training.checkpoints import Checkpoints, training_state


class SaveCheckpoint(keras.callbacks.Callback):
    """Saves the run after every epoch. It must come last of the callbacks, so that it sees what they changed.

    Args:
        checkpoints: Where to.
        search: The search callback of the same run.
    """

    def __init__(self, checkpoints: Checkpoints, search: MaskSearch):
        super().__init__()
        self.checkpoints = checkpoints
        self.search = search

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Saves."""
        self.checkpoints.save(epoch + 1, training_state(self.model, self.search))


class DivergenceError(RuntimeError):
    """A loss or a weight is no longer a finite number."""


class StopOnDivergence(keras.callbacks.Callback):
    """Ends the run when a loss or a weight is NaN or infinite, before it is saved. It must come first of the callbacks.

    The losses are means over the epoch so far, so one that is spoiled stays so and is seen after the same step. The
    weights are looked at as well when the epoch ends, because its last update can spoil them after its last loss.
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
        self._refuse(_not_finite(logs))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Looks at the epoch's losses and at the weights it ended with.

        Raises:
            DivergenceError: If one is not finite.
        """
        self._epoch = epoch
        weights = self.model.supernet.weights
        self._refuse(
            _not_finite(logs) + [weight.path for weight in weights if not np.isfinite(np.asarray(weight)).all()]
        )

    def _refuse(self, broken: list[str]) -> None:
        if broken:
            raise DivergenceError(
                f"Expected finite losses and weights. Received: {broken[0]} and {len(broken) - 1} others not finite in "
                f"epoch {self._epoch + 1}, which is not saved. Begin a new run with a lower learning rate."
            )


def _not_finite(logs: Any) -> list[str]:
    return [name for name, value in (logs or {}).items() if not math.isfinite(value)]
