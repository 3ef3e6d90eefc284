"""The measurements of one exported file, each made once."""

from collections.abc import Callable, Mapping
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
from ofar_tf.checks.margin_check import check_margin, margin_sentence
from ofar_tf.checks.networks import keras_run, tflite_run
from ofar_tf.checks.verdict import FileChecks
from ofar_tf.conversion.precision import precision_named
from ofar_tf.files import atomic_file
from ofar_tf.files.finished_work import Value, Work
from ofar_tf.tasks.answers import Answers, Batches, predictions_path, recall_predictions
from ofar_tf.tasks.interface import Shipped
from ofar_tf.tasks.scores import FileScores, Scores
from ofar_tf.tflite.arena import arena_bytes
from ofar_tf.tflite.gpu_delegate import gpu_refused

_PARITY_IMAGES = 32
_LAYER_IMAGES = 16


@dataclass(frozen=True)
class Measurement:
    """What was measured of a file.

    Attributes:
        checks: The verdict, the accuracy included.
        metrics: What it reached; None where it does not run.
        selection: What it reached on the selection split; None where it does not run or there is none.
    """

    checks: FileChecks
    metrics: FileScores | None
    selection: Scores | None = None


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
        task: What they learned.
        batches: Gives the evaluation images and labels, from the start each time.
        evaluation: What identifies those images and the programs that measure, as JSON values: where it changes, all is
            measured again.
        threads: How many images are run at once.
        selection: Gives the images that files are chosen by, as `batches` does; None where they are the same.
    """

    keras_path: Path
    task: Shipped
    batches: Callable[[], Batches]
    evaluation: Mapping[str, Any]
    threads: int
    selection: Callable[[], Batches] | None = None

    @cached_property
    def parent(self) -> Answers:
        """What the `.keras` file says of each image; it is asked once, and its answers stay beside it."""
        found: Answers = recall_predictions(
            predictions_path(self.keras_path),
            parse=self.task.answers_of,
            key=self._key,
            compute=lambda: self.task.answers(keras_run(self._model), self.batches()),
        )
        return found

    def measure(self, tflite_path: Path, *, precision: str) -> Measurement:
        """Checks and measures a TFLite file.

        A file with a tolerance (float32) passes if its scores are as near to Keras's; any other unless it is worse than
        its parent, the `.keras` file, on the same images by more than the metric's margin: where images are right or
        wrong, unless that is shown (`AccuracyCheck`), elsewhere as it was measured (`MarginCheck`). The parent is Keras
        and not the float32 TFLite file, so that a broken float32 file cannot lower the bar. What the file says of each
        image is stored beside it.

        Args:
            tflite_path: The file.
            precision: A key of `ofar_tf.conversion.precision.PRECISIONS`.

        Returns:
            The verdict and what it reached.
        """
        work = self._work("measurement", tflite_path, Measurement, precision=precision, limit=self.task.metric.margin)
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
        checks = check_file(tflite_path, self._model, self._parity_images, task=self.task, tolerance=tolerance)
        if not checks.runs:
            return Measurement(checks, metrics=None)
        answers = self.predictions(tflite_path)
        if checks.argmax_agreement is not None:
            checks = replace(checks, argmax_agreement=answers.agreement(self.parent))
        if tolerance is None:
            checks = self._compared(checks, answers)
        metrics = FileScores.beside(answers.scores, keras=self.parent.scores.best)
        if self.selection is None:
            return Measurement(checks, metrics)
        selected = tflite_answers(tflite_path, self.selection(), task=self.task, threads=self.threads)
        return Measurement(checks, metrics, selected.scores)

    def _compared(self, checks: FileChecks, answers: Answers) -> FileChecks:
        """Adds whether the file is as good as its parent."""
        counted, file, parent = answers.losses_and_gains(self.parent), answers.scores, self.parent.scores
        if counted is None:
            return checks.with_margin(check_margin(file, parent), sentence=margin_sentence(file, parent))
        return checks.with_accuracy(check_accuracy(*counted, file.images, limit=file.metric.margin))

    def predictions(self, tflite_path: Path) -> Answers:
        """Asks a TFLite file that runs about each image, once.

        Args:
            tflite_path: The file.

        Returns:
            Its answers, which are stored beside it.
        """
        found: Answers = recall_predictions(
            predictions_path(tflite_path),
            parse=self.task.answers_of,
            key={**self._key, "tflite_sha256": atomic_file.sha256_of(tflite_path)},
            compute=lambda: tflite_answers(tflite_path, self.batches(), task=self.task, threads=self.threads),
        )
        return found

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


def tflite_answers(path: str | Path, batches: Batches, *, task: Shipped, threads: int = 1) -> Answers:
    """Asks a TFLite file about images through LiteRT.

    Args:
        path: The file.
        batches: Images and labels.
        task: What it learned.
        threads: How many images are run at once.

    Returns:
        Its answers.

    Raises:
        ValueError: If there are no images or `threads` is below 1.
    """
    with tflite_run(path, ranges=task.output_ranges, threads=threads) as run:
        return task.answers(run, batches)


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
