"""A new head for a network that was trained to tell other classes apart."""

from dataclasses import dataclass
from typing import Any

import keras

from ofar_tf.models.classifier import logits

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
        model: From images to float32 logits; its layers, but for the head, are those of the old network.
        change: What was replaced by what, in a few words for the user.
    """

    model: keras.Model
    change: str


@dataclass(frozen=True, eq=False)
class _Call:
    """One call of a layer: its first input and what it gave."""

    layer: Any
    entering: Any


def with_new_head(model: keras.Model, *, classes: int, dropout: float | None = None) -> NewHead:
    """Replaces the last dense layer of a network, or the 1 x 1 convolution that does its work, and what follows it.

    A network without one, such as a body saved without its top, gets global pooling and a head.

    Args:
        model: A functional model, or a Sequential one with a known input, of one input and one output. Its layers are
            shared with the new one.
        classes: Number of classes, at least 2.
        dropout: Share of the head's inputs that training hides, in [0, 1), in place of a Dropout layer there; by
            default what is there stays.

    Returns:
        The new network, and what was replaced.

    Raises:
        ValueError: If an argument is out of range, or the model ends in another model.
    """
    inputs, output, makers = _replayed(model)
    old, features = _head(output, makers)
    maker = makers.get(id(features))
    if dropout is not None and maker is not None and isinstance(maker.layer, layers.Dropout):
        features = maker.entering
    pooled = layers.GlobalAveragePooling2D(name="new_global_pool")(features) if len(features.shape) == 4 else features
    # A layer in the middle may have the name already.
    taken = {layer.name for layer in model.layers if layer is not old}
    name = "new_logits" if "logits" in taken else "logits"
    outputs = logits(pooled, classes=classes, dropout=dropout or 0.0, name=name)
    made = keras.Model(inputs, outputs, name=model.name)
    new = f"a dense layer of {classes} logits"
    if old is None:
        return NewHead(made, f"it had no head, {new} was put behind {maker.layer.name if maker else 'images'!r}")
    width = old.units if isinstance(old, layers.Dense) else old.filters
    return NewHead(made, f"{type(old).__name__} {old.name!r} of {width} outputs was replaced by {new}")


def _head(output: Any, makers: dict[int, _Call]) -> tuple[Any, Any]:
    """Returns the last kernel, if it is a head, and what enters it; otherwise what to put a head behind."""
    tensor, pooled = output, None
    while id(tensor) in makers:
        call = makers[id(tensor)]
        if isinstance(call.layer, keras.Model):
            raise ValueError(
                f"Expected a model that ends in a layer. Received: a model {call.layer.name!r} at its end."
            )
        if isinstance(call.layer, layers.Dense) or _is_pointwise(call.layer):
            return call.layer, call.entering
        if not isinstance(call.layer, _SHAPERS) and type(call.layer).__name__ not in _SHAPING_OPERATIONS:
            break
        if len(tensor.shape) == 2:
            pooled = tensor
        tensor = call.entering
    # No head: what is pooled already stays as it is.
    return None, tensor if pooled is None else pooled


def _is_pointwise(layer: Any) -> bool:
    # A convolution without an activation of its own and without a norm behind it, which the walk would have met.
    return isinstance(layer, layers.Conv2D) and tuple(layer.kernel_size) == (1, 1)


def _replayed(model: keras.Model) -> tuple[Any, Any, dict[int, _Call]]:
    """Runs a model's own layers once more; returns its input, its output and, by `id`, the call that made a tensor."""
    functional = keras.Model(model.inputs, model.outputs) if isinstance(model, keras.Sequential) else model
    inputs = keras.Input(batch_shape=functional.inputs[0].shape, name="images")
    makers: dict[int, _Call] = {}
    kept = []  # The keys are only unique as long as the tensors live.

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = layer(*args, **kwargs)
        kept.append(outputs)
        makers[id(outputs)] = _Call(layer, keras.tree.flatten(args)[0])
        return outputs

    copy = keras.models.clone_model(
        functional,
        input_tensors=keras.tree.pack_sequence_as(functional.input, [inputs]),
        clone_function=lambda layer: layer,
        call_function=call,
    )
    return inputs, copy.outputs[0], makers
