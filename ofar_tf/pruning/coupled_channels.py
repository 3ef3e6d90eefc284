"""What computes with all channels at once, in a network that has fewer: the others count as the zeros that they were.

A mean over channels, the largest of them, a convolution that runs along them, a norm of them all: spatial attention,
efficient channel attention and ConvNeXt are made of these. Where dropped channels are zero in the masked network, a
narrow one gives what that does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

ops = keras.ops

REDUCTIONS = ("Mean", "Sum", "Max", "Amax")
"""The functions over channels that are known; all else is a convolution along them, or a layer that stays whole."""


@dataclass(frozen=True)
class Kept:
    """Which channels are left of those that an operation computes with.

    Attributes:
        places: Their numbers among all of them, in order.
        count: How many all are.
    """

    places: tuple[int, ...]
    count: int


class AmongZeros:
    """An operation of a narrow network that computes as if the channels which are not there were there and zero.

    Args:
        operation: The layer or Keras operation: one of `REDUCTIONS`, a convolution along the last axis but one, or
            a layer whose channels lie along the last axis.
        kept: The channels that are left.
    """

    def __init__(self, operation: Any, kept: Kept):
        self._operation, self._kept = operation, kept
        self._made: dict[str, Any] = {}

    def __call__(self, tensor: Any, *args: Any, **kwargs: Any) -> Any:
        """Calls the operation, with what must come before it and behind it."""
        places, count = self._kept.places, self._kept.count
        kind = type(self._operation).__name__
        if len(places) == count:
            return self._operation(tensor, *args, **kwargs)
        if kind not in REDUCTIONS:
            # What is not there is read from behind the last place, where a zero is.
            known = {place: number for number, place in enumerate(places)}
            axis = len(tensor.shape) - (2 if isinstance(self._operation, keras.layers.Conv1D) else 1)
            widths = [[0, int(each == axis)] for each in range(len(tensor.shape))]
            padded = self._apply("padded", lambda given: ops.pad(given, widths), tensor)
            spread = self._take("spread", padded, [known.get(place, len(places)) for place in range(count)], axis)
            return self._take("kept", self._operation(spread, *args, **kwargs), places, axis)
        reduced = self._operation(tensor, *args, **kwargs)
        if kind == "Mean":
            return self._apply("of_all", lambda given: given * 1.0, reduced, len(places) / count)
        return reduced if kind == "Sum" else self._apply("or_zero", ops.relu, reduced)

    def _take(self, name: str, tensor: Any, places: Sequence[int], axis: int) -> Any:
        return self._apply(name, lambda given: ops.take(given, [0], axis=axis), tensor, list(places))

    def _apply(self, name: str, example: Any, tensor: Any, *args: Any) -> Any:
        """Applies the operation that a function consists of, under a name of its own: what Keras names may be taken."""
        if name not in self._made:
            given = keras.Input(batch_shape=tensor.shape)
            operation = keras.Model(given, example(given)).operations[-1]
            config = {**operation.get_config(), "name": f"{self._operation.name}_{name}"}
            self._made[name] = type(operation).from_config(config)
        return self._made[name](tensor, *args)
