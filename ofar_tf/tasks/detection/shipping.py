"""How detectors become files: detections for LiteRT, or raw boxes for those who decode themselves."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure

from ofar_tf.models.detector import LEVELS
from ofar_tf.tasks.answers import Batches, OnlyScores, Run, SizedRun
from ofar_tf.tasks.detection.anchors import Anchors
from ofar_tf.tasks.detection.average_precision import AveragePrecision
from ofar_tf.tasks.detection.decoding import Decoding
from ofar_tf.tasks.detection.ending import DetectionEnding
from ofar_tf.tasks.detection.file_notes import DETECTIONS_NOTE, NAME, RAW_NOTE
from ofar_tf.tasks.detection.pictures import LEAST_SCORE, draw_detections, pixels_of
from ofar_tf.tasks.ending import Ending
from ofar_tf.tasks.examples import Example, evenly_spread, picked
from ofar_tf.tasks.interface import Difference, Shipped
from ofar_tf.text.size import Size
from ofar_tf.tflite.detector_metadata import DetectorMetadata

DETECTIONS, RAW = "detections", "raw"
# A detection of the parent that is less likely than this may be missing in a file: the next thing may take its place.
_CLEAR = 0.05
# Of the logit: the least float32 probabilities that are told apart from 0 and 1.
_LEAST = 1e-7
_METADATA_NOTE = """\
Each file carries metadata: the scale of its input, the class names, and what `ofar export` was told of author and
licence; raw files have the anchors too. MediaPipe's ObjectDetector takes both kinds as they are. It stretches images to
what a file sees: put those of another aspect on the canvas first."""


class DetectionFiles(Shipped):
    """Shipping of a task that has `classes`, `anchors` and `decoding`, and whose networks return logits and deltas."""

    classes: int
    anchors: Anchors
    decoding: Decoding

    @property
    def name(self) -> str:
        """`detection`."""
        return NAME

    @property
    def kind(self) -> str:
        """`object detectors`."""
        return "object detectors"

    @property
    def has_classes(self) -> bool:
        """They have."""
        return True

    @property
    def forms(self) -> tuple[str, ...]:
        """Detections, or raw boxes and scores."""
        return DETECTIONS, RAW

    @property
    def float_outputs(self) -> bool:
        """Boxes are floats whatever the precision."""
        return True

    @property
    def float_layers(self) -> tuple[str, ...]:
        """The last layers of both heads: a shift or a score in 8 bits costs more than these layers do."""
        return ("detector_classes_last*", "detector_boxes_last*")

    def ending(self, form: str | None) -> Ending | None:
        """Returns what files of a form compute behind the network."""
        return None if form == RAW else Ending.of(DetectionEnding(self.anchors, self.decoding))

    def metadata(self, form: str | None) -> DetectorMetadata:
        """Returns the anchors, of which MediaPipe decodes raw outputs."""
        return DetectorMetadata(
            strides=tuple(2**level for level in LEVELS),
            sides=tuple(self.anchors.sides()),
            decoded=form != RAW,
        )

    @property
    def output_ranges(self) -> Mapping[str, tuple[float, float]]:
        """Scores are in 0..1."""
        return {"scores": (0.0, 1.0)}

    @property
    def outputs_note(self) -> str:
        """Both forms."""
        return f"{DETECTIONS_NOTE}\n{RAW_NOTE}"

    @property
    def metadata_note(self) -> str:
        """Names MediaPipe's ObjectDetector."""
        return _METADATA_NOTE

    def shipped(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Turns the logits of classes into scores; boxes stay shifts of the anchors."""
        scores = keras.layers.Activation("sigmoid", dtype="float32", name="scores")(outputs["classes"])
        return {"boxes": outputs["boxes"], "scores": scores}

    def finished(self, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Computes the same, in NumPy."""
        scores = 1.0 / (1.0 + np.exp(-outputs["classes"].astype(np.float64)))
        return {"boxes": outputs["boxes"], "scores": scores}

    def check_shipped(self, output_shape: Any, labels: Sequence[str]) -> None:
        """Makes sure that there is a score for each name.

        Raises:
            ValueError: If there is not.
        """
        shape = output_shape.get("scores") if isinstance(output_shape, Mapping) else None
        if shape is None or shape[-1] != len(labels):
            raise ValueError(f"Expected scores of {len(labels)} classes. Received: an output of {output_shape}.")

    def describe(self, labels: Sequence[str]) -> str:
        """Says how many classes there are."""
        return f"Object detector, {len(labels)} classes"

    def detections(self, outputs: Mapping[str, np.ndarray], *, size: Size) -> Mapping[str, np.ndarray]:
        """Returns the detections of a batch, whatever a file says of it.

        Args:
            outputs: What a file or a `.keras` network returned.
            size: What it saw.

        Returns:
            See `Decoding.decode`.
        """
        if "count" in outputs:
            return {**outputs, "count": np.reshape(outputs["count"], -1)}
        scores = np.clip(outputs["scores"], _LEAST, 1.0 - _LEAST).astype(np.float64)
        logits = np.log(scores / (1.0 - scores)).astype(np.float32)
        raw = {"classes": logits, "boxes": outputs["boxes"]}
        return self.decoding.decode(raw, size=size, anchors=self.anchors)

    def compare(
        self, expected: Mapping[str, np.ndarray], actual: Mapping[str, np.ndarray], *, size: Size
    ) -> Difference:
        """Compares what a file says with what its parent says: raw numbers, or detection by detection.

        Every clear detection of the parent must be found again; what counts is how far its score and box are off.
        """
        if "count" not in actual:
            return super().compare(expected, actual, size=size)
        wanted, found = self.detections(expected, size=size), self.detections(actual, size=size)
        clear = zip(*np.nonzero(wanted["scores"] >= _clear_of(wanted)[:, np.newaxis]), strict=True)
        return Difference(max((_nearest(wanted, found, *each) for each in clear), default=0.0))

    def answers(self, run: Run, batches: Batches) -> OnlyScores:
        """Computes the average precision of a file or network on a split."""
        judge = AveragePrecision()
        for images, labels in batches:
            judge.update(self.detections(run(images), size=Size.of(images.shape[1:3])), labels)
        return OnlyScores(judge.result())

    def examples(
        self, answers: OnlyScores, run: Run, batches: Batches, *, labels: Sequence[str], count: int
    ) -> tuple[Example, ...]:
        """Draws the true boxes of images that are spread over the split, and beside them what is found."""
        images = picked(batches, evenly_spread(np.arange(answers.scores.images), count))
        return tuple(self._example(image, truth, run(image), labels) for _, image, truth in images)

    def pictures(
        self, networks: Mapping[str, SizedRun], batches: Batches, *, labels: Sequence[str]
    ) -> Mapping[str, Figure]:
        """Draws the true boxes of a batch, and beside them what each network finds."""
        images, truth = next(iter(batches))
        found = {
            name: self.decoding.decode(network.run(images), size=network.size, anchors=self.anchors)
            for name, network in networks.items()
        }
        return {DETECTIONS: draw_detections(images, truth, found, class_names=labels)}

    def _example(
        self,
        image: np.ndarray,
        truth: Mapping[str, np.ndarray],
        outputs: Mapping[str, np.ndarray],
        names: Sequence[str],
    ) -> Example:
        found = self.detections(outputs, size=Size.of(image.shape[1:3]))
        figure = draw_detections(image, truth, {"found": found}, class_names=names)
        there = int(np.sum((truth["classes"] >= 0) & ~truth["crowd"]))
        likely = int(np.sum(found["scores"][0, : int(found["count"][0])] >= LEAST_SCORE))
        return Example.drawn(pixels_of(figure), f"{there} there, {likely} found with a score of at least {LEAST_SCORE}")


def _clear_of(detections: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns the least score of a clear detection of each image, `[B]`: where no more fit, well above the last."""
    full = detections["count"] == detections["scores"].shape[1]
    return np.where(full, np.maximum(_CLEAR, detections["scores"][:, -1] + _CLEAR), _CLEAR)


def _nearest(wanted: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray], image: int, place: int) -> float:
    """Returns how far the nearest detection of the same class is off, at most 1."""
    same = found["classes"][image] == wanted["classes"][image, place]
    same &= np.arange(len(same)) < found["count"][image]
    boxes = np.abs(found["boxes"][image] - wanted["boxes"][image, place]).max(axis=-1)
    scores = np.abs(found["scores"][image] - wanted["scores"][image, place])
    return float(min(1.0, np.where(same, np.maximum(boxes, scores), 1.0).min(initial=1.0)))
