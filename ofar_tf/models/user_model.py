"""Models that users bring, read from a file or built by their code: the checks of what this package needs."""

from pathlib import Path
from typing import Any

import keras

from ofar_tf.models.functional_graph import flat_layers, is_functional
from ofar_tf.models.user_code import one_line


def read_file(path: str) -> keras.Model:
    """Reads a saved model with its weights, without its optimizer and losses.

    Args:
        path: Path of a `.keras` file.

    Returns:
        The model as it was saved.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If Keras cannot read it.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"Expected a saved Keras model. Received: {path}, which does not exist.")
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises many types; whatever it was, the user's file is what must change.
        raise ValueError(f"Expected a .keras file that Keras can read. Received: {path}: {one_line(error)}") from error


def as_classifier(model: Any, *, classes: int, reference: str) -> keras.Model:
    """Checks that a model can be trained here; makes it functional and of one tensor in, one tensor out.

    Args:
        model: What the user gave.
        classes: Number of classes of the data set.
        reference: What the user calls it, for the errors.

    Returns:
        A functional model from `[batch, height, width, 3]` to logits `[batch, classes]`, sharing the given weights.

    Raises:
        ValueError: If it is not a functional Keras model, uses channels first, has other inputs or outputs, or ends in
            softmax.
    """
    functional = _functional(model, reference)
    if any(getattr(layer, "data_format", None) == "channels_first" for layer in flat_layers(functional)):
        raise ValueError(f"Expected a model with data_format channels_last. Received: {reference} with channels_first.")
    inputs = [tuple(tensor.shape) for tensor in functional.inputs]
    if len(inputs) != 1 or len(inputs[0]) != 4 or inputs[0][0] is not None or inputs[0][3] != 3:
        raise ValueError(
            "Expected a model with one input of RGB images, [batch, height, width, 3]. "
            f"Received: {reference} with input shapes {inputs}."
        )
    outputs = [tuple(tensor.shape) for tensor in functional.outputs]
    if outputs != [(None, classes)]:
        raise ValueError(
            f"Expected a model with one output [batch, {classes}], a logit for each class of the data set. "
            f"Received: {reference} with output shapes {outputs}."
        )
    if _ends_in_softmax(functional):
        raise ValueError(
            "Expected a model that gives logits: remove the final softmax. "
            f"Received: {reference}, whose last layer is a softmax."
        )
    if keras.tree.is_nested(functional.input) or keras.tree.is_nested(functional.output):
        # A model made from lists or dicts wants them as inputs and gives dicts back; training has plain tensors.
        return keras.Model(functional.inputs[0], functional.outputs[0], name=functional.name)
    return functional


def _functional(model: Any, reference: str) -> keras.Model:
    if isinstance(model, keras.Sequential):
        try:
            return keras.Model(model.inputs, model.outputs, name=model.name)
        except (ValueError, AttributeError) as error:
            raise ValueError(
                "Expected a Sequential model that starts with keras.Input. "
                f"Received: {reference}, whose input shape is unknown."
            ) from error
    if is_functional(model):
        return model
    raise ValueError(
        "Expected a functional Keras model, made by keras.Model(inputs, outputs). "
        f"Received: {reference}, which gives a {type(model).__module__}.{type(model).__qualname__}."
    )


def _ends_in_softmax(model: keras.Model) -> bool:
    if isinstance(model, keras.Sequential):
        last = model.layers[-1]
    else:  # The layer that was made last need not be the output.
        last = next(operation for operation in model.operations if operation.name == model.output_names[0])
    if isinstance(last, keras.Sequential) or hasattr(last, "operations"):  # A functional model has these.
        return _ends_in_softmax(last)
    # Softmax is both a layer's and an operation's class name.
    return type(last).__name__ == "Softmax" or getattr(last, "activation", None) is keras.activations.softmax
