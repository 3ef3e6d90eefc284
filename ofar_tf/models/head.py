"""A new head for a network that was trained to tell other classes apart."""

from dataclasses import dataclass
from typing import Any

import keras

from ofar_tf.models.classifier import logits

# Layers behind the last kernel that only bring what it gives into form.
_SHAPERS = (
    *(keras.layers.Softmax, keras.layers.Activation, keras.layers.Flatten, keras.layers.Reshape, keras.layers.Identity),
    *(keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D),
)
_KERNELS = (keras.layers.Dense, keras.layers.Conv2D)


@dataclass(frozen=True)
class NewHead:
    """A network with another head.

    Attributes:
        model: From the same input to float32 logits; its layers, but for the head, are those of the old network.
        replaced: What was taken away or, where there was no head, what the new one was put behind; for the user.
    """

    model: keras.Model
    replaced: str


def with_new_head(model: keras.Model, *, classes: int, dropout: float | None = None) -> NewHead:
    """Replaces the last dense layer of a network, or the last 1 x 1 convolution, and what follows it.

    A network without one, such as a body saved without its top, gets global pooling and a head.

    Args:
        model: A functional model with one output. Layers before the head are shared with the new one.
        classes: Number of classes, at least 2.
        dropout: Share of the head's inputs that training hides, in [0, 1), in place of a Dropout layer there; by default
            what is there stays.

    Returns:
        The new network, and what was replaced.

    Raises:
        ValueError: If an argument is out of range, or the model ends in another model.
    """
    tensor, old = _features(model)
    if dropout is not None and isinstance(_maker(tensor), keras.layers.Dropout):
        tensor = _entering(_maker(tensor))
    if len(tensor.shape) == 4:
        tensor = keras.layers.GlobalAveragePooling2D(name=_unused("global_pool", tensor))(tensor)
    outputs = logits(tensor, classes=classes, dropout=dropout or 0.0)
    what = f"{type(old).__name__} {old.name!r} of {old.output.shape[-1]} outputs" if old else "no head"
    return NewHead(keras.Model(model.inputs, outputs, name=model.name), f"{what}")
