"""Settings that count channels, in a network that has fewer of them."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from ofar_tf.models.functional_graph import is_functional
from ofar_tf.pruning.coupled_channels import Kept
from ofar_tf.pruning.propagation import Chosen, Places, map_counted


def flat_operations(model: keras.Model) -> Iterator[Any]:
    """Yields a model's layers and Keras operations, nested models opened as well, in an order that clones share."""
    is_graph = is_functional(model) and not isinstance(model, keras.Sequential)
    for operation in model.operations if is_graph else model.layers:
        yield operation
        if isinstance(operation, keras.Model):
            yield from flat_operations(operation)


def narrowed(value: Any, keep: np.ndarray) -> Any:
    """Returns a setting for a network that keeps some of its channels.

    Args:
        value: The setting, with an array of channel numbers in the place of each number that counts them.
        keep: bool `[channels + 1]`, whether each channel is kept; the last entry, for those that always stay, is true.
    """
    if isinstance(value, Places):
        (channels,) = value
        return Kept(tuple(np.flatnonzero(keep[channels]).tolist()), len(channels))
    counts = map_counted(value, lambda channels: int(keep[channels].sum()))
    return [number for number, is_kept in counts if is_kept] if isinstance(counts, Chosen) else counts
