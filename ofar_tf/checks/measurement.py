"""The measurements of one exported file, each made once."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ofar_tf.checks.accuracy_check import check_accuracy
from ofar_tf.checks.file_check import check_file
from ofar_tf.checks.layer_error import LayerError
from ofar_tf.checks.layer_errors import layer_errors
from ofar_tf.checks.layer_outputs import LayerOutputs
from ofar_tf.checks.verdict import FileChecks
from ofar_tf.conversion.precision import MAX_TOP1_DROP, precision_named
from ofar_tf.files import atomic_file
from ofar_tf.files.finished_work import Value, Work
from ofar_tf.tasks.classification.accuracy import Accuracy, Batches, Metrics, keras_scores
from ofar_tf.tasks.classification.predictions import Predictions, predictions_path, recall_predictions
from ofar_tf.tflite.arena import arena_bytes
from ofar_tf.tflite.classifier import TFLiteClassifier
from ofar_tf.tflite.gpu_delegate import gpu_refused

_PARITY_IMAGES = 32
_LAYER_IMAGES = 16


@dataclass(frozen=True)
class Measurement:
    """What was measured of a file.

    Attributes:
        checks: The verdict, the accuracy included.
        metrics: Its accuracy; None where it does not run.
        selection: Its accuracy on the selection split; None where it does not run or there is none.
    """

    checks: FileChecks
    metrics: Metrics | None
    selection: Accuracy | None = None


@dataclass(frozen=True)
class FileFacts:
    """Facts about one file.

    Attributes:
        arena_bytes: Memory of its tensors (`ofar_tf.tflite.arena`); None where LiteRT cannot run it.
        gpu_refused: Operators that a GPU would leave to the CPU, with the reason (`ofar_tf.tflite.gpu_delegate`).
        layer_errors: The error of each layer's output (`ofar_tf.checks.layer_errors`); none for float32, and none
            where LiteRT cannot run it.
    """

    arena_bytes: int | None
    gpu_refused: Mapping[str, str]
    layer_errors: tuple[LayerError, ...]


@dataclass(frozen=True)
class Measurer:
    """Measures a `.keras` file and the TFLite files made from it, and records the results beside them.

    Attributes:
        keras_path: The `.keras` file, the parent of the others.
        batches: Gives the evaluation images and labels, from the start each time.
        evaluation: What identifies those images and the programs that measure, as JSON values: where it changes, all is
            measured again.
        threads: How many images are run at once.
        selection: Gives the images that files are chosen by, as `batches` does; None where they are the same.
    """

    keras_path: Path
    batches: Callable[[], Batches]
    evaluation: Mapping[str, Any]
    threads: int
    selection: Callable[[], Batches] | None = None

    @cached_property
    def parent(self) -> Predictions:
        """What the `.keras` file says of each image; it is asked once, and its answers stay beside it."""
        return recall_predictions(
            predictions_path(self.keras_path),
            key=self._key,
            compute=lambda: Predictions.of(keras_scores(self._model), self.batches()),
        )

    def measure(self, tflite_path: Path, *, precision: str) -> Measurement:
        """Checks and measures a TFLite file.

        A file with a tolerance (float32) passes if its scores are as near to Keras's; any other unless its top-1
        accuracy is shown to be more than `MAX_TOP1_DROP` below that of its parent, the `.keras` file, on the same
        images (`AccuracyCheck`). The parent is Keras and not the float32 TFLite file, so that a broken float32 file
        cannot lower the bar. What the file says of each image is stored beside it.

        Args:
            tflite_path: The file.
            precision: A key of `ofar_tf.conversion.precision.PRECISIONS`.

        Returns:
            The verdict and the accuracy.
        """
        work = self._work("measurement", tflite_path, Measurement, precision=precision, limit=MAX_TOP1_DROP)
        measurement = work.once(lambda: self._measure(tflite_path, precision=precision))
        if measurement.metrics:
            self.predictions(tflite_path)  # Made again if they were removed.
        return measurement

    def facts(self, tflite_path: Path, *, precision: str) -> FileFacts:
        """Finds out what else there is to know of a TFLite file.

        Args:
            tflite_path: The file.
            precision: A key of `ofar_tf.conversion.precision.PRECISIONS`.

        Returns:
            The facts; the errors of the layers for every precision but float32, the one with a tolerance.
        """
        work = self._work("facts", tflite_path, FileFacts, images=_LAYER_IMAGES)
        rounded = precision_named(precision).tolerance is None
        return work.once(
            lambda: read_facts(
                tflite_path,
                reference=self._layers if rounded else None,
                images=self._parity_images[:_LAYER_IMAGES],
            )
        )

    def _work(self, name: str, path: Path, kind: type[Value], **settings: Any) -> Work[Value]:
        return Work(name, path, kind, {**self._key, "tflite_sha256": atomic_file.sha256_of(path), **settings})

    def _measure(self, tflite_path: Path, *, precision: str) -> Measurement:
        tolerance = precision_named(precision).tolerance
        checks = check_file(tflite_path, self._model, self._parity_images, tolerance=tolerance)
        if not checks.runs:
            return Measurement(checks, metrics=None)
        answers = self.predictions(tflite_path)
        if checks.argmax_agreement is not None:
            checks = replace(checks, argmax_agreement=answers.agreement(self.parent))
        if tolerance is None:
            checks = checks.with_accuracy(check_accuracy(answers, self.parent, limit=MAX_TOP1_DROP))
        metrics = Metrics(**vars(answers.accuracy), keras_top1=self.parent.accuracy.top1)
        if self.selection is None:
            return Measurement(checks, metrics)
        return Measurement(checks, metrics, tflite_accuracy(tflite_path, self.selection(), threads=self.threads))

    def predictions(self, tflite_path: Path) -> Predictions:
        """Asks a TFLite file that runs about each image, once.

        Args:
            tflite_path: The file.

        Returns:
            Its answers, which are stored beside it.
        """
        return recall_predictions(
            predictions_path(tflite_path),
            key={**self._key, "tflite_sha256": atomic_file.sha256_of(tflite_path)},
            compute=lambda: tflite_predictions(tflite_path, self.batches(), threads=self.threads),
        )

    @cached_property
    def _parity_images(self) -> np.ndarray:
        (first,) = islice(self.batches(), 1)
        return np.asarray(first[0])[:_PARITY_IMAGES]

    @cached_property
    def _model(self) -> keras.Model:
        return keras.saving.load_model(self.keras_path, compile=False)

    @cached_property
    def _layers(self) -> LayerOutputs:
        return LayerOutputs(self._model)

    @cached_property
    def _key(self) -> dict[str, Any]:
        return {"keras_sha256": atomic_file.sha256_of(self.keras_path), "evaluation": dict(self.evaluation)}


def tflite_predictions(path: str | Path, batches: Batches, *, threads: int = 1) -> Predictions:
    """Asks a TFLite file about images through LiteRT.

    Args:
        path: The file.
        batches: Images and labels.
        threads: How many images are run at once, each by an interpreter of its own (LiteRT releases Python's lock while
            it runs).

    Returns:
        Its answers. An image whose scores are not all finite counts as wrong.

    Raises:
        ValueError: If there are no images or `threads` is below 1.
    """
    if threads < 1:
        raise ValueError(f"Expected at least one thread. Received: threads={threads}.")
    classifiers = [TFLiteClassifier(path) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as executor:

        def scores(images: np.ndarray) -> np.ndarray:
            parts = np.array_split(images, threads)
            return np.concatenate(
                list(executor.map(lambda classifier, part: classifier.scores(part), classifiers, parts))
            )

        return Predictions.of(scores, batches)


def tflite_accuracy(path: str | Path, batches: Batches, *, threads: int = 1) -> Accuracy:
    """Measures the accuracy of a TFLite file through LiteRT; see `tflite_predictions`."""
    return tflite_predictions(path, batches, threads=threads).accuracy


def read_facts(path: Path, *, reference: LayerOutputs | None, images: np.ndarray) -> FileFacts:
    """Finds the facts.

    Args:
        path: The file.
        reference: The network that its layers are compared with; None for files that are not compared.
        images: What they are compared on, [N, r, r, 3], values in 0..255.

    Returns:
        The facts.
    """
    refused = gpu_refused(path.read_bytes())
    try:
        errors = layer_errors(path, reference, images) if reference else ()
        return FileFacts(arena_bytes(path), refused, errors)
    except (RuntimeError, ValueError):  # LiteRT cannot run it, which the checks of the file report.
        return FileFacts(None, refused, ())
