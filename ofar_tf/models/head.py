"""A new head for a network that was trained to tell other classes apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from ofar_tf.models.classifier import logits
from ofar_tf.models.functional_graph import GraphCall, graph_of
from ofar_tf.text.patterns import matches

layers = keras.layers

# What may stand between the last kernel and the output: it only brings what the kernel gives into form.
_SHAPERS = (
    *(layers.Softmax, layers.Activation, layers.Flatten, layers.Reshape, layers.Identity, layers.Dropout),
    layers.ReLU,
    *(layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D),
)
_SHAPING_OPERATIONS = ("Softmax", "Sigmoid", "Reshape", "Squeeze", "Mean", "Cast")


@dataclass(frozen=True)
class NewHead:
    """A network with another head.

    Attributes:
        model: From images to float32 logits; its layers, except the head, are those of the old network.
        change: What was replaced by what, in a few words for the user.
    """

    model: keras.Model
    change: str


def with_new_head(model: keras.Model, *, classes: int, dropout: float | None = None) -> NewHead:
    """Replaces the last dense layer of a network, or the 1 x 1 convolution that does its work, and what follows it.

    A network without one, such as a body saved without its top, gets global pooling and a head.

    Args:
        model: A flat functional model of one input and one output. Its layers are shared with the new one.
        classes: Number of classes, at least 2.
        dropout: Share of the head's inputs that training hides, in [0, 1), in place of a Dropout layer there; by
            default what is there stays.

    Returns:
        The new network, and what was replaced.

    Raises:
        ValueError: If an argument is out of range, or the model has several outputs.
    """
    if len(model.outputs) != 1:
        raise ValueError(f"Expected a model with one output. Received: {model.name} with {len(model.outputs)}.")
    graph = graph_of(model)
    makers = {id(call.outputs): call for call in graph.calls}
    old, features = _head(graph.outputs[0], makers)
    maker = makers.get(id(features))
    if dropout is not None and maker is not None and isinstance(maker.operation, layers.Dropout):
        features = maker.args[0]
    pooled = layers.GlobalAveragePooling2D(name="new_global_pool")(features) if len(features.shape) == 4 else features
    # A layer in the middle may have the name already.
    taken = {layer.name for layer in model.layers if layer is not old}
    name = "new_logits" if "logits" in taken else "logits"
    outputs = logits(pooled, classes=classes, dropout=dropout or 0.0, name=name)
    made = keras.Model(graph.inputs[0], outputs, name=model.name)
    new = f"a dense layer of {classes} logits"
    if old is None:
        return NewHead(made, f"it had no head, {new} was put behind {maker.operation.name if maker else 'images'!r}")
    width = old.units if isinstance(old, layers.Dense) else old.filters
    return NewHead(made, f"{type(old).__name__} {old.name!r} of {width} outputs was replaced by {new}")


def head_weights(model: keras.Model, *, outside: Sequence[str] = ()) -> list[Any]:
    """Returns the weights of a network's head: of all layers behind its body, or of the last kernel of each output.

    Args:
        model: A flat functional model.
        outside: Patterns of the names of layers behind the body, as neck and heads of a detector; none where the
            network ends with kernels.

    Raises:
        ValueError: If there are no patterns, and an output does not come from a kernel.
    """
    if outside:
        return [weight for layer in model.layers if matches(layer.name, outside) for weight in layer.weights]
    graph = graph_of(model)
    makers = {id(call.outputs): call for call in graph.calls}
    found: list[Any] = []
    for output in graph.outputs:
        head, _ = _head(output, makers)
        if head is None:
            raise ValueError(
                "Expected a network that ends with a dense layer or a 1 x 1 convolution, its head. "
                f"Received: {model.name}, which does not."
            )
        found += head.weights
    return found


def _head(output: Any, makers: Mapping[int, GraphCall]) -> tuple[Any, Any]:
    """Returns the last kernel, if it is a head, and what enters it; otherwise what to put a head behind."""
    tensor = output
    while id(tensor) in makers:
        call = makers[id(tensor)]
        if isinstance(call.operation, layers.Dense) or _is_pointwise(call.operation):
            return call.operation, call.args[0]
        if not isinstance(call.operation, _SHAPERS) and type(call.operation).__name__ not in _SHAPING_OPERATIONS:
            break
        tensor = call.args[0]
    return None, output


def _is_pointwise(layer: Any) -> bool:
    # With a norm behind it, which the walk would have met, it would be part of the body.
    return isinstance(layer, layers.Conv2D) and tuple(layer.kernel_size) == (1, 1)
