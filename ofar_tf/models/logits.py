"""Whether a classifier ends in logits: what is trained and exported here puts the softmax on itself."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from ofar_tf.models.functional_graph import graph_of
from ofar_tf.models.resolution import smallest_resolution
from ofar_tf.models.user_code import one_line

layers = keras.layers

# Class names, of layers, operations and functions alike.
_PROBABILITIES = frozenset(("softmax", "sigmoid", "hardsigmoid", "sparsemax", "sparseplus", "sparsesigmoid"))
# They change neither the range of numbers nor their order.
_RANGE_KEEPING_LAYERS = (
    *(layers.Identity, layers.Reshape, layers.Flatten, layers.Permute, layers.ActivityRegularization),
    *(layers.Dropout, layers.AlphaDropout, layers.GaussianDropout, layers.GaussianNoise, layers.SpatialDropout2D),
    *(layers.AveragePooling2D, layers.MaxPooling2D, layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D),
)
_RANGE_KEEPING_OPERATIONS = frozenset(
    ("Cast", "Reshape", "Squeeze", "ExpandDims", "Transpose", "Mean", "Max", "Identity", "Clip", "Copy", "GetItem")
)


def final_activation(model: keras.Model) -> str | None:
    """Finds what turns a model's logits into probabilities at its end.

    First by the names of the last layers, then by what the model gives: outputs that sum to one are no logits, whatever
    made them.

    Args:
        model: A flat model of one image input and one output `[batch, classes]`.

    Returns:
        `softmax` or the name of another function, `None` for a model of logits.
    """
    for operation in _last(model):
        name = _activation_of(operation)
        if name in _PROBABILITIES:
            return name
        if isinstance(operation, (layers.Dense, layers.Conv2D)) and name == "linear":
            return None
    return "softmax" if _sums_to_one(model) else None


def _last(model: keras.Model) -> Iterator[Any]:
    """Yields the operations that a model ends with, from the last one to the first that changes the range."""
    graph = graph_of(model)
    makers = {id(tensor): call for call in graph.calls for tensor in keras.tree.flatten(call.outputs)}
    call = makers.get(id(graph.outputs[0]))
    while call is not None:
        yield call.operation
        if not _keeps_the_range(call.operation):
            return
        tensors = [tensor for tensor in call.tensors if id(tensor) in makers]
        call = makers[id(tensors[0])] if tensors else None


def _keeps_the_range(operation: Any) -> bool:
    if isinstance(operation, layers.Layer):
        linear = isinstance(operation, layers.Activation) and _activation_of(operation) == "linear"
        return linear or type(operation) in _RANGE_KEEPING_LAYERS
    return type(operation).__name__ in _RANGE_KEEPING_OPERATIONS


def _activation_of(operation: Any) -> str:
    """The name of the function that an operation ends with: its activation's, or its own."""
    activation = getattr(operation, "activation", operation)
    name = getattr(activation, "__name__", None) or type(activation).__name__
    return name.replace("_", "").lower()


def _sums_to_one(model: keras.Model) -> bool:
    size = smallest_resolution(model)
    images = np.random.default_rng(0).uniform(0.0, 255.0, (4, size, size, 3)).astype(np.float32)
    try:
        outputs = np.asarray(model(images, training=False))
    except Exception as error:  # A user's layer may raise anything.
        raise ValueError(
            f"Expected a model that runs on images of {size} pixels. Received: {model.name}: {one_line(error)}"
        ) from error
    return bool((outputs >= 0).all() and np.allclose(outputs.sum(axis=-1), 1.0, atol=1e-3))
