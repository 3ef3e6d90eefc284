"""Models that users bring, from a file, from code or from a notebook: what this package asks of them, at every door."""

import logging
from pathlib import Path
from typing import Any

import keras

from ofar_tf.models.flattening import flattened, is_flat
from ofar_tf.models.free_size import with_free_size
from ofar_tf.models.functional_graph import flat_layers, inner_layers, is_functional, is_stock
from ofar_tf.models.gray_images import RGB_TO_GRAY
from ofar_tf.models.logits import final_activation
from ofar_tf.models.obstacles import ClosedLayerError
from ofar_tf.models.older_file import load_saved
from ofar_tf.models.opening import opened_model
from ofar_tf.models.precision import computes_in_float32
from ofar_tf.models.shared_code import load_shared
from ofar_tf.models.unregistered_code import make_known, unregistered
from ofar_tf.models.user_code import one_line
from ofar_tf.models.user_modules import load_announced

WEIGHTS_ALONE = "weights alone go with the network that they are of (--model=NAME --pretrained=FILE)"
"""What to do with a file that holds no model."""

_OWN_CODE = (
    "; where classes or functions of yours are in it, a function that returns keras.models.load_model(PATH), in the "
    "module that defines or imports them (--model=package.module:function)"
)
_ADVICE = {
    "Could not locate": _OWN_CODE,
    "Unknown layer": _OWN_CODE,
    "is not a KerasSaveable": _OWN_CODE,
    "`Lambda` layer": "; of one with a Lambda that you trust, a function that returns keras.models.load_model(PATH, "
    "safe_mode=False) (--model=package.module:function)",
    "No model config": f"; {WEIGHTS_ALONE}",
}


def is_saved(reference: str) -> bool:
    """Returns whether a reference is the path of a saved model: `.keras`, or `.h5` as older programs write."""
    return reference.endswith((".keras", ".h5", ".hdf5")) and not reference.endswith(".weights.h5")


def read_file(path: str) -> keras.Model:
    """Reads a saved model with its weights, without its optimizer and losses.

    The user's modules that a run needs are imported first, in the process that `UserModules.load` was called in and in
    those that it has started.

    Args:
        path: Path of a `.keras` file, or of an `.h5` file with a whole model.

    Returns:
        The model as it was saved.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If Keras cannot read it.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"Expected a saved Keras model. Received: {path}, which does not exist.")
    load_announced()
    load_shared()
    try:
        return load_saved(path)
    except Exception as error:  # Keras raises many types; whatever it was, the user's file is what must change.
        advice = next((advice for words, advice in _ADVICE.items() if words in str(error)), "")
        raise ValueError(
            f"Expected a {Path(path).suffix} file that Keras can read{advice}. Received: {path}: {one_line(error)}"
        ) from error


def as_supernet(model: Any, *, reference: str) -> keras.Model:
    """Makes a model one that can be pruned and trained: functional, of one level, in float32, at any size it allows.

    What of it is the user's own and not registered becomes known to Keras, see `make_known`.

    Args:
        model: What the user gave.
        reference: What the user calls it, for the errors.

    Returns:
        The same model if it is such a model already. Otherwise one that computes the same and consists of the same
        layers, with the same variables; only layers of other number formats, or whose name is taken twice, are copied.
        One of gray images takes RGB then, of which its first layer makes gray.

    Raises:
        ValueError: If it is not a functional Keras model, uses channels first, is quantized, has other inputs than RGB
            or gray images, or sizes that are not square.
    """
    model = _functional(model, reference)
    make_known(unregistered(model))
    _check_layers(model, reference)
    height, width, channels = _image_shape(model, reference)
    flat = model if is_flat(model) and channels == 3 else _flattened(model, (height, width, 3), reference)
    if channels == 1:
        logging.getLogger(__name__).warning(
            "%s takes gray images; its networks and their files take RGB, which a layer in front makes gray.", reference
        )
    formats = sorted({each.dtype_policy.name for each in inner_layers(model) if not computes_in_float32(each)})
    if formats:
        logging.getLogger(__name__).warning(
            "%s computes in %s; its networks are trained and shipped in float32 (dtype_policy is for training alone).",
            reference,
            ", ".join(formats),
        )
    return with_free_size(flat, reference=reference)


def as_classifier(model: Any, *, reference: str, classes: int | None = None, advice: str = "") -> keras.Model:
    """Makes a model such that it can be pruned and trained to classify images.

    Args:
        model: What the user gave.
        reference: What the user calls it, for the errors.
        classes: Number of classes of the data set; any number of at least two by default.
        advice: What would help against other outputs, to end such a refusal with.

    Returns:
        A functional model from `[batch, height, width, 3]` to logits `[batch, classes]`, see `as_supernet`.

    Raises:
        ValueError: If `as_supernet` refuses it, it has other outputs, or ends in softmax or sigmoid.
    """
    model = _functional(model, reference)
    _check_outputs(model, reference, classes, advice)
    supernet = as_supernet(model, reference=reference)
    probabilities = final_activation(supernet)
    if probabilities is not None:
        raise ValueError(
            f"Expected a model that gives logits: remove the final {probabilities}. "
            f"Received: {reference}, whose last layer is a {probabilities}{advice}."
        )
    return supernet


def warn_of_frozen_layers(model: keras.Model) -> None:
    """Logs a warning if layers of a model are frozen: their channels are pruned like all others.

    Args:
        model: A supernet.
    """
    weighted = [layer for layer in model.layers if layer.weights and layer.name != RGB_TO_GRAY]
    frozen = [layer.name for layer in weighted if not all(each.trainable for each in inner_layers(layer))]
    if frozen:
        logging.getLogger(__name__).warning(
            "%d of %d layers with weights are frozen (trainable=False), %s first: nothing in them is trained, but "
            "their channels are pruned like all others. Excluded groups stay whole.",
            len(frozen),
            len(weighted),
            frozen[0],
        )


def _functional(model: Any, reference: str) -> keras.Model:
    """Returns the model if it is functional, or its graph if it is one of the user's that can be opened."""
    if is_functional(model):
        return model
    if isinstance(model, keras.Sequential) and type(model).call is keras.Sequential.call:
        return _built_for_any_size(model, reference)
    try:
        if isinstance(model, keras.Model):
            return opened_model(model)
        why = ""
    except ClosedLayerError as closed:
        why = f": {closed}"
    raise ValueError(
        "Expected a functional Keras model, made by keras.Model(inputs, outputs), or one whose call applies layers "
        "and keras.ops alone, with all its kernels in these layers. "
        f"Received: {reference}, which gives a {type(model).__module__}.{type(model).__qualname__}{why}."
    )


def _built_for_any_size(model: keras.Sequential, reference: str) -> keras.Model:
    """Gives a Sequential model that does not say what it takes, and has seen nothing, images of any size."""
    try:
        model.build((None, None, None, 3))
    except Exception as error:  # Layers raise many types at sizes that they cannot do without.
        raise ValueError(
            "Expected a Sequential model that starts with keras.Input((height, width, 3)), or can be built for images "
            f"of any size. Received: {reference}, whose input shape is unknown, and one of whose layers must know it."
        ) from error
    return model


def _check_outputs(model: keras.Model, reference: str, classes: int | None, advice: str) -> None:
    outputs = [tuple(tensor.shape) for tensor in model.outputs]
    logits = outputs[0][-1] if len(outputs) == 1 and len(outputs[0]) == 2 else None
    if logits is None or logits != (classes or logits):
        raise ValueError(
            f"Expected a model with one output [batch, {classes or 'classes'}], a logit for each class of the data "
            f"set. Received: {reference} with output shapes {outputs}{advice}."
        )
    if logits < 2:
        raise ValueError(
            "Expected a model with logits for at least two classes: Dense(2) at its end where the answer is yes or no. "
            f"Received: {reference} with one."
        )


def _check_layers(model: keras.Model, reference: str) -> None:
    stock = [layer for layer in flat_layers(model) if is_stock(layer)]
    if any(getattr(layer, "data_format", None) == "channels_first" for layer in stock):
        raise ValueError(f"Expected a model with data_format channels_last. Received: {reference} with channels_first.")
    quantized = [layer.name for layer in inner_layers(model) if getattr(layer, "quantization_mode", None)]
    if quantized:
        raise ValueError(
            f"Expected a model of floating point weights. Received: {reference}, whose layer {quantized[0]!r} is "
            "quantized."
        )


def _image_shape(model: keras.Model, reference: str) -> tuple[int | None, int | None, int]:
    inputs = [tuple(tensor.shape) for tensor in model.inputs]
    if len(inputs) != 1 or len(inputs[0]) != 4 or inputs[0][3] not in (1, 3):
        raise ValueError(
            "Expected a model with one input of RGB images, [batch, height, width, 3], or of gray ones, [..., 1]. "
            f"Received: {reference} with input shapes {inputs}."
        )
    _, height, width, channels = inputs[0]
    if height != width:
        raise ValueError(
            "Expected a model for square images, or of any height and width. "
            f"Received: {reference}, whose input is {height}x{width}."
        )
    return height, width, channels


def _flattened(model: keras.Model, shape: tuple[int | None, int | None, int], reference: str) -> keras.Model:
    try:
        flat = flattened(model, shape=shape, reference=reference)
    except (KeyError, IndexError, TypeError, NotImplementedError) as error:
        raise ValueError(
            f"Expected a model whose nested models can be opened. Received: {reference}: {one_line(error)}"
        ) from error
    if any(tensor.shape[0] is not None for tensor in flat.outputs):
        raise ValueError(
            f"Expected a model that takes any number of images. Received: {reference} with batches of "
            f"{model.inputs[0].shape[0]}."
        )
    return flat
