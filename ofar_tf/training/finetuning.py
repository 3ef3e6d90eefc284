"""When each structure begins to train on alone."""

from typing import Any

import keras


class BeginFinetuning(keras.callbacks.Callback):
    """Ends joint training so many epochs before the end of `fit` as the model's step says; `fit` adds it by itself."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Ends joint training, if it is time.

        Raises:
            ValueError: If structures are still searched.
        """
        joint = self.params["epochs"] - self.model.step.finetune_structures
        if epoch >= joint and self.model.phase != "finetune":
            self.model.finetune()
