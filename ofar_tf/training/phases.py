"""When the head has learned alone, and when each structure begins to."""

from typing import Any

import keras


class Phases(keras.callbacks.Callback):
    """Begins and ends what `StepSpec` counts in epochs; `fit` adds it by itself.

    The head learns alone in the first `head_epochs` epochs, each structure in the last `finetune_structures`.
    """

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Enters the phase of the epoch.

        Raises:
            ValueError: If it is time for each structure to train alone, and structures are still searched.
        """
        step = self.model.step
        if step.head_epochs:
            self.model.learn_head_alone(epoch < step.head_epochs)
        joint = self.params["epochs"] - step.finetune_structures
        if step.finetune_structures and epoch >= joint and self.model.phase != "finetune":
            self.model.finetune()
