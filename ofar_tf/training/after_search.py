"""Callbacks that watch a number of training, from the time on at which it is that of the family."""

from typing import Any

import keras

_OF_THE_FAMILY = ("joint", "finetune")


class AfterSearch(keras.callbacks.Callback):
    """Lets a callback that waits for a number to improve see it from joint training on only.

    During the search the numbers are those of other networks, and the losses of students are zero before there are
    masks. No later loss would be better, and training would end before there is a family. When each structure begins to
    train alone, the callback starts again.

    Args:
        watching: One of Keras' own, which looks at the ends of epochs.
    """

    def __init__(self, watching: Any):
        super().__init__()
        self.watching = watching
        self._phase = ""

    def set_params(self, params: Any) -> None:
        """See `keras.callbacks.Callback`."""
        super().set_params(params)
        self.watching.set_params(params)

    def set_model(self, model: Any) -> None:
        """See `keras.callbacks.Callback`."""
        super().set_model(model)
        self.watching.set_model(model)

    def on_train_begin(self, logs: Any = None) -> None:
        """Passes it on."""
        self._phase = ""
        self.watching.on_train_begin(logs)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Notes the phase of the epoch: the search may end with it."""
        before, self._phase = self._phase, self.model.phase
        if (before, self._phase) == ("joint", "finetune"):
            self.watching.on_train_begin(logs)
        self.watching.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Passes the numbers on that are the family's."""
        if self._phase in _OF_THE_FAMILY:
            self.watching.on_epoch_end(epoch, logs)

    def on_train_end(self, logs: Any = None) -> None:
        """Passes it on."""
        self.watching.on_train_end(logs)


class StepsAfterSearch(AfterSearch):
    """The same for a callback that looks at steps, too, at each of which Keras then fetches the losses."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Passes it on."""
        self.watching.on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Passes the numbers on that are the family's."""
        if self._phase in _OF_THE_FAMILY:
            self.watching.on_train_batch_end(batch, logs)


def after_search(callback: Any) -> AfterSearch:
    """Returns a callback that lets another, which watches a number, wait for joint training.

    Args:
        callback: An `EarlyStopping`, a `ReduceLROnPlateau`, a `ModelCheckpoint`, or one derived from them.
    """
    ends_only = type(callback) in (keras.callbacks.EarlyStopping, keras.callbacks.ReduceLROnPlateau)
    return AfterSearch(callback) if ends_only else StepsAfterSearch(callback)
