"""A batch in parts, one after the other, for networks whose activations do not fit into memory at once."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


def mean_over_parts(run: Callable[..., Any], tensors: Any, *, parts: int, like: Callable[[], Any]) -> Any:
    """Runs a function on each part of a batch in turn, and returns the mean of what it returns.

    Args:
        run: Takes the number of the part and its share of the tensors, and returns a nest of float tensors.
        tensors: A nest of tensors with the batch as first axis.
        parts: How many parts, at least 1; it must divide the batch.
        like: Returns zeros of the shapes that `run` returns; called only if there are several parts.

    Returns:
        A nest as `run` returns it.

    Raises:
        ValueError: If the batch cannot be divided.
    """
    if parts == 1:
        return run(tf.constant(0), tensors)
    first = keras.tree.flatten(tensors)[0]
    batch = first.shape[0]
    if batch is not None and batch % parts:
        raise ValueError(f"Expected a batch that {parts} parts divide. Received: {batch} images.")
    size = tf.shape(first)[0] // parts

    def add(part: Any, total: Any) -> tuple[Any, Any]:
        share = keras.tree.map_structure(lambda tensor: tensor[part * size : (part + 1) * size], tensors)
        return part + 1, keras.tree.map_structure(tf.add, total, run(part, share))

    _, total = tf.while_loop(
        lambda part, _: part < parts, add, (tf.constant(0), like()), parallel_iterations=1, maximum_iterations=parts
    )
    return keras.tree.map_structure(lambda value: value / parts, total)
