"""What is to be converted, and how a conversion ended."""

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ofar_tf.conversion.precision import DEFAULT_ALGORITHM, precision_named
from ofar_tf.conversion.quantization_aware.fine_tuning import FineTuning
from ofar_tf.files import atomic_file
from ofar_tf.files.finished_work import Work
from ofar_tf.files.json_values import from_json
from ofar_tf.tasks.ending import Ending
from ofar_tf.tflite.metadata import FileMetadata


@dataclass(frozen=True)
class ConversionJob:
    """One file to convert.

    Attributes:
        keras_path: The model, a `.keras` file of stock layers.
        tflite_path: The file to write.
        precision: A key of `ofar_tf.conversion.precision.PRECISIONS`.
        representative_path: A `.npy` file with images [N, h, w, 3], uint8 or float, values in 0..255; for calibrated
            precisions only.
        metadata: What the file says about itself; None to leave that out.
        fine_tuning: For fine-tuned precisions only, whose images are those that are trained on.
        output_name: What the output is called in the file, where there is only one.
        float_outputs: Whether outputs are floats whatever the precision, and several.
        float_layers: Patterns of the last layers that stay in floats where the rest is rounded (`network_parts`).
        ending: What the file computes behind the network; None for nothing.
        mixed_algorithm: How searched precisions round weights (`ofar_tf.conversion.precision.ALGORITHMS`).
    """

    keras_path: Path
    tflite_path: Path
    precision: str
    representative_path: Path | None = None
    metadata: FileMetadata | None = None
    fine_tuning: FineTuning | None = None
    output_name: str = "probabilities"
    float_outputs: bool = False
    float_layers: tuple[str, ...] = ()
    ending: Ending | None = None
    mixed_algorithm: str = DEFAULT_ALGORITHM

    def __post_init__(self) -> None:
        if precision_named(self.precision).fine_tuned != (self.fine_tuning is not None):
            raise ValueError(
                "Expected fine-tuning exactly where the precision needs it. "
                f"Received: precision={self.precision!r}, fine_tuning={self.fine_tuning}."
            )
        if precision_named(self.precision).calibrated != (self.representative_path is not None):
            raise ValueError(
                "Expected representative images exactly where the precision is calibrated. "
                f"Received: precision={self.precision!r}, representative_path={self.representative_path}."
            )

    def load_images(self) -> np.ndarray | None:
        """Returns the representative images, read from the disk as they are needed; None where there are none."""
        return np.load(self.representative_path, mmap_mode="r") if self.representative_path else None

    def work(self) -> "Work[Conversion]":
        """Returns the conversion as work that is remembered: it depends on the contents of the files as they are now.

        Raises:
            FileNotFoundError: If the model or the images are missing.
        """
        images = self.representative_path
        searched = precision_named(self.precision).searched
        libraries = (
            "tensorflow",
            *(("tensorflow-model-optimization", "tf-keras") if self.fine_tuning else ()),
            *(("litert-quantizer",) if searched else ()),
        )
        key = {
            "keras_sha256": atomic_file.sha256_of(self.keras_path),
            "representative_sha256": atomic_file.sha256_of(images) if images else None,
            "precision": self.precision,
            "metadata": asdict(self.metadata) if self.metadata else None,
            "fine_tuning": asdict(self.fine_tuning) if self.fine_tuning else None,
            "output_name": self.output_name,
            "float_outputs": self.float_outputs,
            "float_layers": list(self.float_layers),
            "ending": asdict(self.ending) if self.ending else None,
            **({"mixed_algorithm": self.mixed_algorithm} if searched else {}),
            **{library: importlib.metadata.version(library) for library in libraries},
        }
        return Work("conversion", self.tflite_path, Conversion, key, makes_file=True)


@dataclass(frozen=True)
class Conversion:
    """How a file came to be.

    Attributes:
        versions: Versions of the programs that made it, by name.
    """

    versions: Mapping[str, str]


@dataclass(frozen=True)
class ConversionResult:
    """How a job ended.

    Attributes:
        job: The job.
        error: Why there is no file, in one line; None where there is one.
        skipped: Whether the file was there already.
        versions: Versions of the programs that made the file; empty where there is none, or nobody said.
    """

    job: ConversionJob
    error: str | None = None
    skipped: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)


def jobs_to_line(jobs: Sequence[ConversionJob]) -> str:
    """Writes jobs as one line of JSON, for another process.

    Args:
        jobs: The jobs.

    Returns:
        The line, without its end.
    """
    return json.dumps([asdict(job) for job in jobs], default=str)


def jobs_from_line(line: str) -> list[ConversionJob]:
    """Reads what `jobs_to_line` wrote.

    Args:
        line: The line.

    Returns:
        The jobs.
    """
    return [_job(stored) for stored in json.loads(line)]


def _job(stored: dict[str, Any]) -> ConversionJob:
    paths: dict[str, Any] = {
        name: Path(stored[name]) for name in ("keras_path", "tflite_path", "representative_path") if stored[name]
    }
    metadata = from_json(FileMetadata | None, stored["metadata"], where="metadata")
    fine_tuning = from_json(FineTuning | None, stored["fine_tuning"], where="fine_tuning")
    plain = {name: stored[name] for name in ("precision", "output_name", "float_outputs", "mixed_algorithm")}
    return ConversionJob(
        **plain,
        metadata=metadata,
        fine_tuning=fine_tuning,
        float_layers=tuple(stored["float_layers"]),
        ending=from_json(Ending | None, stored["ending"], where="ending"),
        **paths,
    )
