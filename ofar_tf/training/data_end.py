"""Data that end before training does."""

from typing import Any

import keras


class DataEnd(keras.callbacks.Callback):
    """Ends training with the epoch for which there were no data left; `fit` adds it by itself.

    Keras would go on: with epochs of no batch, whose losses are zero, or for ever with the first two batches of a
    generator.

    Args:
        once: Whether the data can be read once only, as a generator can.
    """

    def __init__(self, *, once: bool):
        super().__init__()
        self._once = once

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Counts steps on from those that are done: the epoch before may have ended within one, for want of data."""
        self.model.count_on()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Looks how many batches there were.

        Raises:
            ValueError: If there was none, or too few of what cannot be read again.
        """
        done, wanted = self.model.steps_of_epoch, self.params.get("steps") or 0
        if done == 0 or (self._once and done < wanted):
            raise ValueError(
                "Expected data for every epoch: a data set that repeats, or fewer epochs or steps_per_epoch. "
                f"Received: data that ended after {done} batches of epoch {epoch + 1}."
            )
