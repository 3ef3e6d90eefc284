"""A Keras model in, the bytes of TFLite files out."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.conversion.calibration import careful_quantizers
from ofar_tf.conversion.mixed_precision import mixed_precision
from ofar_tf.conversion.precision import DEFAULT_ALGORITHM, Precision, precision_named
from ofar_tf.files.scratch_folder import scratch_folder

SIGNATURE, INPUT_NAME, OUTPUT_NAME = "serve", "image", "probabilities"

# Resizing float images by interpolation leaves the range by a few units of the last place.
_ROUNDING = 0.01


def convert(
    model: keras.Model,
    *,
    precision: str,
    representative_images: np.ndarray | None = None,
) -> bytes:
    """Converts a network to a TFLite file with builtin operators, batch 1 and a static shape.

    Through `keras.export.ExportArchive` with a named endpoint: of the ways to convert a Keras 3 model that we tried it
    is the one that always worked, while shorter ones give files of the right size whose weights are gone (DESIGN
    section 4). The caller should still check the file: `ofar_tf.checks.file_check.check_file`.

    Args:
        model: A functional model, float32 images [batch, h, w, 3] with static h and w and values in 0..255 to an
            output, or to a dictionary of outputs.
        precision: A key of `ofar_tf.conversion.precision.PRECISIONS`.
        representative_images: [N, h, w, 3], values in 0..255, uint8 or float: real images, by which the ranges of the
            activations are fixed. Only the calibrated precisions need and read them.

    Returns:
        The content of the file. Its signature `serve` maps `image` to `OUTPUT_NAME`, or to the names of the outputs.

    Raises:
        ValueError: If the precision is unknown, the model's input is not static, or the images are missing or do not
            fit.
    """
    with saved_network(model) as network:
        return network.converted(precision, representative_images=representative_images)


class SavedNetwork:
    """A network as a SavedModel, from which it is converted in any precision.

    Args:
        folder: Where the SavedModel lies.
        shape: Of an image, `(h, w, 3)`.
    """

    def __init__(self, folder: str, *, shape: tuple[int, ...]):
        self._folder = folder
        self._shape = shape

    def converted(
        self,
        precision: str,
        *,
        representative_images: np.ndarray | None = None,
        float_outputs: bool = False,
        mixed_algorithm: str = DEFAULT_ALGORITHM,
    ) -> bytes:
        """Converts the network, see `convert`; where outputs are to be floats, they are whatever the precision."""
        settings = precision_named(precision)
        if settings.fine_tuned:
            raise ValueError(f"Expected a precision that needs no fine-tuning. Received: precision={precision!r}.")
        if settings.searched:
            images = _checked_images(representative_images, shape=self._shape)
            return mixed_precision(self.converted("float32"), images, algorithm=mixed_algorithm)
        converter = tf.lite.TFLiteConverter.from_saved_model(self._folder, signature_keys=[SIGNATURE])
        _apply(settings, converter=converter)
        if float_outputs:
            converter.inference_output_type = tf.float32
        if settings.calibrated:
            images = _checked_images(representative_images, shape=self._shape)
            converter.representative_dataset = lambda: _samples(images)
        with warnings.catch_warnings(), careful_quantizers():
            # TensorFlow's own calibrator constructs the interpreter that TensorFlow deprecates.
            warnings.filterwarnings(
                "ignore", message=r"\s*Warning: tf.lite.Interpreter is deprecated", category=UserWarning
            )
            return converter.convert()


@contextmanager
def saved_network(model: keras.Model, *, output_name: str = OUTPUT_NAME) -> Iterator[SavedNetwork]:
    """Writes a model as a SavedModel, once for all its precisions.

    Args:
        model: As in `convert`.
        output_name: What the output is called; those of a dictionary have names.

    Yields:
        What can be converted inside the block.

    Raises:
        ValueError: If the model's input is not static.
    """
    shape = _static_input_shape(model)
    with scratch_folder("network") as folder:
        _write_saved_model(model, shape=shape, folder=str(folder), output_name=output_name)
        yield SavedNetwork(str(folder), shape=shape)


def _static_input_shape(model: keras.Model) -> tuple[int, ...]:
    shape = tuple(model.input_shape[1:]) if len(model.inputs) == 1 else ()
    if len(shape) != 3 or None in shape or shape[-1] != 3:
        raise ValueError(
            "Expected one input of static shape [batch, h, w, 3]. "
            f"Received: {[tensor.shape for tensor in model.inputs]}."
        )
    return shape


def _write_saved_model(model: keras.Model, *, shape: tuple[int, ...], folder: str, output_name: str) -> None:
    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = model(image, training=False)
        return outputs if isinstance(outputs, dict) else {output_name: outputs}

    # The endpoint brings its variables along: to track the model as well would double the time of a conversion.
    archive = keras.export.ExportArchive()
    archive.add_endpoint(
        SIGNATURE,
        serve,
        input_signature=[tf.TensorSpec([1, *shape], tf.float32, name=INPUT_NAME)],
    )
    archive.write_out(folder, verbose=False)


def _apply(settings: Precision, *, converter: tf.lite.TFLiteConverter) -> None:
    converter.target_spec.supported_ops = [tf.lite.OpsSet[name] for name in settings.operators]
    converter.inference_input_type = converter.inference_output_type = tf.as_dtype(settings.io_type)
    if settings.optimized:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if settings.weights_type:
        converter.target_spec.supported_types = [tf.as_dtype(settings.weights_type)]


def _checked_images(images: np.ndarray | None, *, shape: tuple[int, ...]) -> np.ndarray:
    if images is None or images.shape[1:] != shape or not len(images):
        received = None if images is None else images.shape
        raise ValueError(
            f"Expected representative images of shape [N, {', '.join(map(str, shape))}]. Received: {received}."
        )
    low, high = images.min(), images.max()
    if not -_ROUNDING <= low <= high <= 255 + _ROUNDING:
        raise ValueError(f"Expected representative images with values in 0..255. Received: {low} to {high}.")
    return np.clip(images, 0, 255)


def _samples(images: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    """Yields the images one by one; two pixels of the first are set to 0 and 255.

    The input's scale is then exactly 1 and its zero point 0, so an application may hand over the bytes of its image as
    they are (MediaPipe does).
    """
    for index, image in enumerate(images):
        sample = image.astype(np.float32)
        if index == 0:
            sample[0, 0], sample[-1, -1] = 0.0, 255.0
        yield {INPUT_NAME: sample[np.newaxis]}
