"""An exported file on photographs: which labels it gives them."""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.data.decoding import decode_image_file
from ofar_tf.data.image_header import read_header
from ofar_tf.data.preprocessing import evaluation_view
from ofar_tf.models.user_model import read_file
from ofar_tf.tflite.classifier import TFLiteClassifier
from ofar_tf.tflite.metadata import LABELS_FILE, read_metadata
from ofar_tf.tflite.trial import try_file

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp")
_LARGEST_TEXT = 10_000_000
_LARGEST_SIDE = 4096


@dataclass(frozen=True)
class Prediction:
    """What a file says of an image.

    Attributes:
        image: The image's file.
        labels: The class names with their scores in 0..1, the highest first.
    """

    image: Path
    labels: tuple[tuple[str, float], ...]


class Network(Protocol):
    """A file that is ready to run."""

    resolution: int
    classes: int

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Returns the scores `[B, K]` of images `[B, r, r, 3]`, 0..255."""


class _TFLiteNetwork:
    def __init__(self, path: Path):
        try_file(path)
        self._classifier = TFLiteClassifier(path)
        self.resolution = _side(self._classifier.input.shape, path)
        self.classes = _count(self._classifier.output.shape, path)

    def scores(self, images: np.ndarray) -> np.ndarray:
        return self._classifier.scores(images)


class _KerasNetwork:
    def __init__(self, path: Path):
        self._model = read_file(str(path))
        self.resolution = _side(self._model.input_shape, path)
        self.classes = _count(self._model.output_shape, path)

    def scores(self, images: np.ndarray) -> np.ndarray:
        scores = np.asarray(self._model(images, training=False))
        is_probability = bool((scores >= 0).all() and np.allclose(scores.sum(axis=1), 1.0, atol=1e-3))
        return scores if is_probability else np.asarray(keras.ops.softmax(scores))


def open_network(path: Path) -> Network:
    """Opens an exported file.

    Args:
        path: A `.tflite` or `.keras` file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no classifier of images that can be run.
    """
    if not path.is_file():
        raise FileNotFoundError(f"Expected an exported file. Received: {path}, which does not exist or is no file.")
    try:
        if path.suffix == ".keras":
            return _KerasNetwork(path)
        if path.suffix == ".tflite":
            return _TFLiteNetwork(path)
    except RuntimeError as error:
        raise ValueError(f"Expected a file that LiteRT can run. Received: {path}: {error}.") from error
    raise ValueError(f"Expected a .tflite or .keras file. Received: {path}.")


def read_labels(path: Path, *, given: Path | None, classes: int) -> tuple[str, ...]:
    """Finds the class names of a file.

    Args:
        path: The file.
        given: A text file to take them from; None for those inside of the file, then `labels.txt` beside it or a folder
            above, then numbers.
        classes: How many there must be.

    Raises:
        OSError: If a text file cannot be read.
        ValueError: If there are more or fewer names.
    """
    near = [folder / LABELS_FILE for folder in (path.parent, path.parent.parent)]
    source = given or next((each for each in near if each.is_file()), None)
    names: Sequence[str] | None = None
    if given is None and path.suffix == ".tflite":
        try:
            names = read_metadata(path).labels
        except ValueError:
            names = None
    if names is None and source is not None:
        names = _lines(source)
    if names is None:
        return tuple(f"class {index}" for index in range(classes))
    if len(names) != classes:
        raise ValueError(f"Expected {classes} class names, one for each output of {path}. Received: {len(names)}.")
    return tuple(names)


def find_images(path: Path) -> list[Path]:
    """Lists the images of a folder and the folders in it, or the one image.

    Links are followed to files, not to folders. Nothing is opened.

    Args:
        path: An image or a folder.

    Raises:
        FileNotFoundError: If there is nothing, or no image.
        ValueError: If it is neither an image nor a folder.
    """
    if not path.is_dir():
        if not path.exists():
            raise FileNotFoundError(f"Expected an image or a folder. Received: {path}, which does not exist.")
        _require_regular(path)
        return [path]
    images = sorted(_images_below(path))
    if not images:
        raise FileNotFoundError(f"Expected images ({', '.join(SUFFIXES)}) in {path}. Received: none.")
    return images


def predict(network: Network, images: Sequence[Path], *, labels: Sequence[str], top: int) -> Iterator[Prediction]:
    """Runs a file on images, one after the other: the central square of each, resized to what the network sees.

    Args:
        network: The file.
        images: Files of images.
        labels: The class names.
        top: How many labels to give of each.

    Yields:
        What it says of each image, in order.

    Raises:
        ValueError: If an image cannot be read, is too large, or a score is not finite.
    """
    for image in images:
        pixels = read_image(image, resolution=network.resolution)
        (scores,) = network.scores(pixels[np.newaxis])
        if not np.isfinite(scores).all():
            raise ValueError(f"Expected finite scores. Received: others for {image}.")
        best = np.argsort(-scores, kind="stable")[:top]
        yield Prediction(image, tuple((labels[index], float(scores[index])) for index in best))


def read_image(path: Path, *, resolution: int) -> np.ndarray:
    """Reads an image as a network is measured on it; its size is looked up before it is decoded.

    Args:
        path: A file.
        resolution: Side r of the square, in pixels.

    Returns:
        float32 `[r, r, 3]` in 0..255.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no image, or too large.
    """
    _require_regular(path)
    with path.open("rb") as file:
        header = read_header(file)
    if header is None:
        raise ValueError(f"Expected a JPEG, PNG, GIF, BMP or WebP image. Received: {path}.")
    if header.too_large:
        raise ValueError(
            f"Expected images of at most 178 million pixels. Received: {path}, of {header.width}x{header.height}."
        )
    try:
        image = decode_image_file(tf.constant(path.read_bytes()))
    except tf.errors.InvalidArgumentError as error:
        reason = str(error.message).partition("[Op:")[0].partition("{{")[2].partition("}} ")[2]
        raise ValueError(f"Expected a readable image. Received: {path} ({reason.strip(' .') or 'damaged'}).") from error
    return np.asarray(evaluation_view(image, resolution=resolution))


def _images_below(path: Path) -> Iterator[Path]:
    for folder, inner, names in os.walk(path):
        inner[:] = [name for name in inner if not name.startswith(".")]
        for name in names:
            image = Path(folder) / name
            # Neither FIFOs nor devices: opening one may never end.
            if name.lower().endswith(SUFFIXES) and not name.startswith(".") and image.is_file():
                yield image


def _require_regular(path: Path) -> None:
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"Expected an image file. Received: {path}, which is none.")


def _side(shape: Any, path: Path) -> int:
    known = isinstance(shape, tuple) and len(shape) == 4 and all(isinstance(side, int) for side in shape[1:])
    if not known or shape[1] != shape[2] or not 1 <= shape[1] <= _LARGEST_SIDE or shape[3] != 3:
        raise ValueError(
            f"Expected a classifier of square RGB images of at most {_LARGEST_SIDE:,} pixels. "
            f"Received: {path} with an input of {shape}."
        )
    return int(shape[1])


def _count(shape: Any, path: Path) -> int:
    if not isinstance(shape, tuple) or len(shape) != 2 or not isinstance(shape[1], int) or shape[1] < 1:
        raise ValueError(f"Expected a classifier with one row of scores, [1, K]. Received: {path} with {shape}.")
    return shape[1]


def _lines(path: Path) -> list[str]:
    if not path.is_file() or path.stat().st_size > _LARGEST_TEXT:
        raise ValueError(f"Expected a text file of class names. Received: {path}, which is none.")
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"Expected class names in UTF-8 in {path}. Received: {error.reason}.") from error
