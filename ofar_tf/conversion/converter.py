"""A Keras model in, the bytes of TFLite files out."""

import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.conversion.jobs import ConversionJob
from ofar_tf.conversion.mixed_precision import mixed_precision
from ofar_tf.conversion.precision import Precision, precision_named
from ofar_tf.models.user_model import read_file

SIGNATURE, INPUT_NAME, OUTPUT_NAME = "serve", "image", "probabilities"

# Resizing float images by interpolation leaves the range by a few units of the last place.
_ROUNDING = 0.01


def convert(model: keras.Model, *, precision: str, representative_images: np.ndarray | None = None) -> bytes:
    """Converts a classifier to a TFLite file with builtin operators, batch 1 and a static shape.

    Through `keras.export.ExportArchive` with a named endpoint: of the ways to convert a Keras 3 model that we tried it
    is the one that always worked, while shorter ones give files of the right size whose weights are gone (DESIGN
    section 4). The caller should still check the file: `ofar_tf.checks.file_check.check_file`.

    Args:
        model: A functional model, float32 images [batch, r, r, 3] with static r and values in 0..255 to probabilities
            [batch, K].
        precision: A key of `ofar_tf.conversion.precision.PRECISIONS`.
        representative_images: [N, r, r, 3], values in 0..255, uint8 or float: real images, by which the ranges of the
            activations are fixed. Only the calibrated precisions need and read them.

    Returns:
        The content of the file. Its signature `serve` maps `image` to `probabilities`.

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
        shape: Of an image, `(r, r, 3)`.
    """

    def __init__(self, folder: str, *, shape: tuple[int, ...]):
        self._folder = folder
        self._shape = shape

    def converted(self, precision: str, *, representative_images: np.ndarray | None = None) -> bytes:
        """Converts the network, see `convert`."""
        settings = precision_named(precision)
        if settings.fine_tuned:
            raise ValueError(f"Expected a precision that needs no fine-tuning. Received: precision={precision!r}.")
        if settings.searched:
            images = _checked_images(representative_images, shape=self._shape)
            return mixed_precision(self.converted("float32"), images)
        converter = tf.lite.TFLiteConverter.from_saved_model(self._folder, signature_keys=[SIGNATURE])
        _apply(settings, converter=converter)
        if settings.calibrated:
            images = _checked_images(representative_images, shape=self._shape)
            converter.representative_dataset = lambda: _samples(images)
        with warnings.catch_warnings():
            # TensorFlow's own calibrator constructs the interpreter that TensorFlow deprecates.
            warnings.filterwarnings(
                "ignore", message=r"\s*Warning: tf.lite.Interpreter is deprecated", category=UserWarning
            )
            return converter.convert()


@contextmanager
def saved_network(model: keras.Model) -> Iterator[SavedNetwork]:
    """Writes a model as a SavedModel, once for all its precisions.

    Args:
        model: As in `convert`.

    Yields:
        What can be converted inside the block.

    Raises:
        ValueError: If the model's input is not static.
    """
    shape = _static_input_shape(model)
    with tempfile.TemporaryDirectory() as folder:
        _write_saved_model(model, shape=shape, folder=folder)
        yield SavedNetwork(folder, shape=shape)


@contextmanager
def open_network(jobs: Sequence[ConversionJob]) -> Iterator[Callable[[ConversionJob], bytes]]:
    """Reads the network of some jobs, for `ofar_tf.conversion.worker`.

    Args:
        jobs: Jobs of one `.keras` file, none of them fine-tuned.

    Yields:
        What makes the content of the file of each job.
    """
    # Names that Keras has given to earlier networks of this process would be counted on.
    keras.backend.clear_session()
    with saved_network(read_file(str(jobs[0].keras_path))) as network:

        def convert_job(job: ConversionJob) -> bytes:
            images = np.load(job.representative_path) if job.representative_path else None
            return network.converted(job.precision, representative_images=images)

        yield convert_job


def _static_input_shape(model: keras.Model) -> tuple[int, ...]:
    shape = tuple(model.input_shape[1:]) if len(model.inputs) == 1 else ()
    if len(shape) != 3 or None in shape or shape[-1] != 3:
        raise ValueError(
            "Expected one input of static shape [batch, r, r, 3]. "
            f"Received: {[tensor.shape for tensor in model.inputs]}."
        )
    return shape


def _write_saved_model(model: keras.Model, *, shape: tuple[int, ...], folder: str) -> None:
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        SIGNATURE,
        lambda image: {OUTPUT_NAME: model(image, training=False)},
        input_signature=[tf.TensorSpec([1, *shape], tf.float32, name=INPUT_NAME)],
    )
    archive.write_out(folder, verbose=False)


def _apply(settings: Precision, *, converter: tf.lite.TFLiteConverter) -> None:
    converter.target_spec.supported_ops = [tf.lite.OpsSet[settings.operators]]
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
