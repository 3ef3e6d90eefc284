"""`manifest.json`: what an export folder holds, for programs to read."""

import datetime
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from ofar_tf.checks.layer_error import LayerError
from ofar_tf.checks.verdict import FileChecks
from ofar_tf.evaluation.network_parity import NetworkParity
from ofar_tf.files import atomic_file
from ofar_tf.files.json_values import from_json
from ofar_tf.tasks.classification.accuracy import Metrics
from ofar_tf.tflite.classifier import TensorInfo
from ofar_tf.tflite.latency import Latency

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ModelEntry:
    """One TFLite file.

    Attributes:
        id: The network, structure and resolution (`ofar_tf.conversion.member.file_id`); its precisions share it.
        path: The file, relative to the manifest, with forward slashes.
        sha256: Of the file.
        bytes: Size of the file.
        structure: Name of the structure.
        rate: The structure's pruning rate, in [0, 1).
        resolution: Height and width of the input, in pixels.
        macs: Multiply-adds of one image (the paper's FLOPs).
        params: Number of weights.
        quantization: A key of `ofar_tf.conversion.precision.PRECISIONS`.
        input: The image.
        output: The scores.
        labels: The label file, relative to the manifest: line i names class i.
        metrics: Accuracy on the evaluation split; None where the file does not run.
        checks: What the checks of the file found.
        parity: How far the `.keras` file agrees with the network that was trained; None where that was not measured.
        arena_bytes: Memory of the tensors while LiteRT runs it, weights not counted (`ofar_tf.tflite.arena`); None
            where it does not run.
        gpu_refused: The operators that LiteRT's GPU delegate would leave to the CPU, with the reason; by a list of ours
            (`ofar_tf.tflite.gpu_delegate`), not tried on a GPU. None where that is not known.
        layer_errors: The layers whose output lost most to rounding, the worst first; none for float32. The table
            beside the file, `<name>.layers.csv`, has all of them.
        latency: Measurements, one for each device and thread count; may be empty.
        pareto: Whether no other file of the same quantization that passed is as cheap in MACs and more accurate.
        versions: Versions of the programs that made the file, by name; None where they are those of the manifest.
    """

    id: str
    path: str
    sha256: str
    bytes: int
    structure: str
    rate: float
    resolution: int
    macs: int
    params: int
    quantization: str
    input: TensorInfo
    output: TensorInfo
    labels: str
    metrics: Metrics | None
    checks: FileChecks
    parity: NetworkParity | None = None
    arena_bytes: int | None = None
    gpu_refused: Mapping[str, str] | None = None
    layer_errors: tuple[LayerError, ...] = ()
    latency: tuple[Latency, ...] = ()
    pareto: bool = False
    versions: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9_]+", self.id):
            raise ValueError(f"Expected an id of lower case letters, digits and underscores. Received: id={self.id!r}.")
        if not 0 <= self.rate < 1:
            raise ValueError(f"Expected a pruning rate in [0, 1). Received: rate={self.rate} of {self.id}.")
        if min(self.bytes, self.resolution, self.macs, self.params) < 1:
            raise ValueError(
                "Expected positive bytes, resolution, macs and params. "
                f"Received: {self.bytes}, {self.resolution}, {self.macs}, {self.params} of {self.id}."
            )
        if self.checks.passed and self.metrics is None:
            raise ValueError(f"Expected metrics of a file that passed its checks. Received: none of {self.id}.")

    @property
    def top1(self) -> float:
        """Top-1 accuracy of the file; 0 where it does not run."""
        return self.metrics.top1 if self.metrics else 0.0


@dataclass(frozen=True)
class ManifestHeader:
    """How the files were made.

    Attributes:
        schema_version: Version of this format.
        versions: Versions of the programs that matter, by name.
        git: The commit of the code; None where it is not known.
        dataset: The data that the networks were trained and measured on: its name, splits and whatever else identifies
            it, as JSON values.
        seed: The seed of the training run; None where there was none.
        created: When, as an ISO 8601 time.
    """

    schema_version: int = field(default=SCHEMA_VERSION, kw_only=True)
    versions: Mapping[str, str]
    git: str | None
    dataset: Mapping[str, Any]
    seed: int | None
    created: str

    @classmethod
    def now(cls, *, versions: Mapping[str, str], git: str | None, dataset: Mapping[str, Any], seed: int) -> Self:
        """Makes the head of a manifest that is written now; see the attributes."""
        created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return cls(versions=versions, git=git, dataset=dataset, seed=seed, created=created)

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(
                f"Expected schema_version={SCHEMA_VERSION}. Received: schema_version={self.schema_version}."
            )


@dataclass(frozen=True)
class Manifest(ManifestHeader):
    """The files of an export folder and how they were made.

    Attributes:
        models: The files, those with the most MACs first.
    """

    models: tuple[ModelEntry, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        paths = [model.path for model in self.models]
        if len(set(paths)) < len(paths):
            raise ValueError(
                f"Expected each file once. Received: {sorted(path for path in set(paths) if paths.count(path) > 1)}."
            )
        if any(first.macs < second.macs for first, second in zip(self.models, self.models[1:], strict=False)):
            raise ValueError(
                f"Expected the models with the most MACs first. Received: {[model.macs for model in self.models]}."
            )


def write_manifest(path: str | Path, manifest: Manifest) -> None:
    """Writes a manifest atomically.

    Args:
        path: Where to, normally `manifest.json` in the export folder.
        manifest: What to write.
    """
    atomic_file.write_text(path, json.dumps(asdict(manifest), indent=2, allow_nan=False) + "\n")


def read_manifest(path: str | Path) -> Manifest:
    """Reads a manifest and refuses one that is not exactly of this version's form.

    Args:
        path: The file.

    Returns:
        The manifest.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a manifest of this version, in one line that names the place.
    """
    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(
            f"Expected the manifest of a finished export. Received: {source}, which does not exist."
        )
    try:
        data = json.loads(source.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"Expected JSON in {source}. Received: {error}.") from error
    if isinstance(data, dict) and data.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(
            f"Expected schema_version={SCHEMA_VERSION} in {source}. Received: {data.get('schema_version')!r}."
        )
    return from_json(Manifest, data, where=str(source))
