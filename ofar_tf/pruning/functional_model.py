"""What tracing asks of a model, and its inputs in order."""

from typing import Any

import keras

from ofar_tf.models.functional_graph import flat_layers, is_functional, is_stock
from ofar_tf.text.size import Size


def check_functional(model: Any) -> None:
    """Refuses what is not a functional, channels-last Keras model.

    Args:
        model: What the user gave. A class derived from a functional model counts as one unless it has a `call` of its
            own, which the graph would not show.

    Raises:
        ValueError: If it is a subclassed or Sequential model, no model at all, or has a channels-first layer.
    """
    if isinstance(model, keras.Sequential) or not is_functional(model):
        kind = "a Sequential" if isinstance(model, keras.Sequential) else f"a {type(model).__name__}"
        raise ValueError(f"Expected a functional Keras model, made by keras.Model(inputs, outputs). Received: {kind}.")
    for layer in flat_layers(model):
        if is_stock(layer) and getattr(layer, "data_format", None) == "channels_first":
            raise ValueError(
                "Expected layers with data_format='channels_last'. "
                f"Received: {type(layer).__name__} {layer.name!r} with 'channels_first'."
            )


def image_shape(tensor: Any, size: Size, *, batch: int | None = None) -> tuple[int | None, ...]:
    """Returns the shape of an input of images of a size.

    Args:
        tensor: An input `[batch, height, width, channels]` of a model.
        size: Theirs.
        batch: How many images, `None` for any number.

    Raises:
        ValueError: If the model was built for another size.
    """
    asked = (size.height, size.width)
    fixed = [(given, own) for given, own in zip(asked, tensor.shape[1:3], strict=True) if own is not None]
    if any(given != own for given, own in fixed):
        raise ValueError(f"Expected resolution={fixed[0][1]}, the model's fixed input size. Received: {size}.")
    return (batch, *asked, tensor.shape[-1])


def input_layers(model: keras.Model) -> list[keras.layers.InputLayer]:
    """Returns the input layers of a functional model, in the order of `model.inputs`."""
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.InputLayer)]
    return [next(layer for layer in layers if layer.output is tensor) for tensor in model.inputs]
