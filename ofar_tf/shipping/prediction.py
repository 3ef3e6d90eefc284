"""An exported file on photographs: which labels it gives them."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from ofar_tf.data.detection.views import on_canvas
from ofar_tf.data.preprocessing import resize_batch
from ofar_tf.files.text_file import read_text
from ofar_tf.models.user_model import read_file
from ofar_tf.shipping.photographs import read_image, read_pixels
from ofar_tf.tasks.detection.pictures import plot_found
from ofar_tf.text.size import LARGEST_SIDE, Size
from ofar_tf.tflite.metadata import LABELS_FILE, read_metadata, read_training_images
from ofar_tf.tflite.network_file import TFLiteNetwork
from ofar_tf.tflite.trial import try_file

_LARGEST_TEXT = 10_000_000

Box = tuple[float, ...]
DETECTIONS = ("boxes", "classes", "scores", "count")
"""What a file of detections returns."""
RAW = ("boxes", "scores")
"""What a detector's other files return: of all anchors."""


@dataclass(frozen=True)
class Prediction:
    """What a file says of an image.

    Attributes:
        image: The image's file.
        labels: The class names with their scores in 0..1, the highest first.
        boxes: Of a detector, where each is: top, left, bottom and right in pixels of the image.
    """

    image: Path
    labels: tuple[tuple[str, float], ...]
    boxes: tuple[Box, ...] = ()


class Network(Protocol):
    """A classifier that is ready to run; `depth` is the bits of its training images, see `read_pixels`."""

    resolution: int
    classes: int
    depth: int

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Returns the scores `[B, K]` of images `[B, r, r, 3]`, 0..255."""


class Detector:
    """A detector's file that is ready to run: one that returns detections.

    Args:
        network: The file.
        path: Its path, for messages.
        canvas: What an image is put on before that is resized to what the file sees, as it was in training and
            evaluation: its aspect may be another one. None for what the file sees.
        depth: See `read_pixels`.

    Attributes:
        size: What it sees.
        classes: Not known of a file; its labels say.

    Raises:
        ValueError: If it does not see RGB images of a bearable size.
    """

    classes = None

    def __init__(self, network: TFLiteNetwork, path: Path, *, canvas: Size | None = None, depth: int = 8):
        shape = network.input.shape
        if len(shape) != 4 or shape[3] != 3 or not all(1 <= side <= LARGEST_SIDE for side in shape[1:3]):
            raise ValueError(
                f"Expected a detector of RGB images of at most {LARGEST_SIDE:,} pixels. "
                f"Received: {path} with an input of {shape}."
            )
        self.size = Size(*shape[1:3])
        self._canvas = canvas or self.size
        if max(self._canvas.height, self._canvas.width) > LARGEST_SIDE:
            raise ValueError(f"Expected a canvas of at most {LARGEST_SIDE:,} pixels. Received: {path} with {canvas}.")
        self._network, self._depth = network, depth

    def look(self, image: Path, *, labels: Sequence[str], min_score: float, picture: Path | None = None) -> Prediction:
        """Finds things in an image.

        Args:
            image: Its file.
            labels: The class names.
            min_score: Less likely ones are left out.
            picture: Where to draw them; None for nowhere.

        Raises:
            OSError: If the image cannot be read.
            ValueError: If it is no image, too large, or what comes out makes no sense.
        """
        decoded = read_pixels(image, depth=self._depth)
        canvas, content = (np.asarray(each) for each in on_canvas(decoded, self._canvas))
        seen = np.asarray(resize_batch(canvas[np.newaxis], self.size))
        found = {name: array[0] for name, array in self._network.run(seen).items()}
        count, classes = int(found["count"]), found["classes"].astype(int)
        # A canvas is the image and what is beside it: its shares are larger than those of the image.
        boxes = np.clip(found["boxes"] / np.tile(content, 2), 0, 1) * np.tile(decoded.shape[:2], 2)
        if not all(np.isfinite(found[name]).all() for name in DETECTIONS) or not 0 <= count <= len(classes):
            raise ValueError(f"Expected finite detections. Received: others for {image}.")
        names = [labels[each] if 0 <= each < len(labels) else f"class {each}" for each in classes]
        # What lies in the black beside the image is nothing in it.
        likely = (boxes[:, :2] < boxes[:, 2:]).all(axis=1) & (found["scores"] >= min_score)
        kept = np.flatnonzero(likely[:count])
        if picture is not None:
            by_place = {**found, "classes": np.arange(len(names)), "scores": np.where(likely, found["scores"], -1.0)}
            plot_found(picture, canvas, content, by_place, names=names, least_score=min_score)
        return Prediction(
            image,
            tuple((names[index], float(found["scores"][index])) for index in kept),
            tuple((*map(float, boxes[index]),) for index in kept),
        )


class _TFLiteClassifier:
    def __init__(self, network: TFLiteNetwork, path: Path, *, depth: int):
        self._network, self.depth = network, depth
        self.resolution = _side(network.input.shape, path)
        shapes = [info.shape for info in network.outputs]
        self.classes = _count(shapes[0] if len(shapes) == 1 else shapes, path)

    def scores(self, images: np.ndarray) -> np.ndarray:
        scores: np.ndarray = self._network.run(images)
        return scores


class _KerasClassifier:
    depth = 8  # Keras files do not say.

    def __init__(self, path: Path):
        self._model = read_file(str(path))
        # A Sequential has no `output`, and no names for it.
        outputs = None if isinstance(self._model, keras.Sequential) else self._model.output
        _refuse_raw(outputs if isinstance(outputs, dict) else (), path)
        self.resolution = _side(self._model.input_shape, path)
        self.classes = _count(self._model.output_shape, path)

    def scores(self, images: np.ndarray) -> np.ndarray:
        scores = np.asarray(self._model(images, training=False))
        is_probability = bool((scores >= 0).all() and np.allclose(scores.sum(axis=1), 1.0, atol=1e-3))
        return scores if is_probability else np.asarray(keras.ops.softmax(scores))


def open_network(path: Path) -> Network | Detector:
    """Opens an exported file.

    Args:
        path: A `.tflite` or `.keras` file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is neither a classifier nor a detector that can be run.
    """
    if not path.is_file():
        raise FileNotFoundError(f"Expected an exported file. Received: {path}, which does not exist or is no file.")
    try:
        if path.suffix == ".keras":
            return _KerasClassifier(path)
        if path.suffix == ".tflite":
            try_file(path)
            network = TFLiteNetwork(path)
            outputs = {info.name for info in network.outputs}
            _refuse_raw(outputs, path)
            canvas, depth = read_training_images(path)
            if outputs == set(DETECTIONS):
                return Detector(network, path, canvas=canvas, depth=depth)
            return _TFLiteClassifier(network, path, depth=depth)
    except RuntimeError as error:
        raise ValueError(f"Expected a file that LiteRT can run. Received: {path}: {error}.") from error
    raise ValueError(f"Expected a .tflite or .keras file. Received: {path}.")


def _refuse_raw(outputs: Collection[str], path: Path) -> None:
    if set(outputs) == set(RAW):
        raise ValueError(
            "Expected a detector's .tflite file of detections, whose name ends in its precision, as in _int8.tflite. "
            f"Received: {path}, which returns shifts and scores of all anchors."
        )


def read_labels(path: Path, *, given: Path | None, classes: int | None) -> tuple[str, ...]:
    """Finds the class names of a file.

    Args:
        path: The file.
        given: A text file to take them from; None for those inside of the file, then `labels.txt` beside it or a folder
            above, then numbers.
        classes: How many there must be; None for any number.

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
        return tuple(f"class {index}" for index in range(classes or 0))
    if classes is not None and len(names) != classes:
        raise ValueError(f"Expected {classes} class names, one for each output of {path}. Received: {len(names)}.")
    return tuple(names)


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
        pixels = read_image(image, resolution=network.resolution, depth=network.depth)
        (scores,) = network.scores(pixels[np.newaxis])
        if not np.isfinite(scores).all():
            raise ValueError(f"Expected finite scores. Received: others for {image}.")
        best = np.argsort(-scores, kind="stable")[:top]
        yield Prediction(image, tuple((labels[index], float(scores[index])) for index in best))


def as_text(prediction: Prediction) -> str:
    """Writes a prediction as a line for people; of a detector with the corners of each box, `left,top-right,bottom`."""
    parts = [f"{label} {score:.1%}" for label, score in prediction.labels]
    for index, (top, left, bottom, right) in enumerate(prediction.boxes):
        parts[index] += f" at {left:.0f},{top:.0f}-{right:.0f},{bottom:.0f}"
    return f"{prediction.image}: {', '.join(parts) or 'nothing found'}"


def as_json(prediction: Prediction) -> str:
    """Writes a prediction as an object on one line, for programs; boxes are top, left, bottom and right."""
    labels: list[dict[str, Any]] = [{"label": label, "score": score} for label, score in prediction.labels]
    for entry, box in zip(labels, prediction.boxes, strict=False):
        entry["box"] = [round(side, 1) for side in box]
    return json.dumps({"image": str(prediction.image), "labels": labels})


def _side(shape: Any, path: Path) -> int:
    known = isinstance(shape, tuple) and len(shape) == 4 and all(isinstance(side, int) for side in shape[1:])
    if not known or shape[1] != shape[2] or not 1 <= shape[1] <= LARGEST_SIDE or shape[3] != 3:
        raise ValueError(
            f"Expected a classifier of square RGB images of at most {LARGEST_SIDE:,} pixels. "
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
    return read_text(path).splitlines()
