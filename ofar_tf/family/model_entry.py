"""What the manifest says of one TFLite file."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ofar_tf.checks.layer_error import LayerError
from ofar_tf.checks.verdict import FileChecks
from ofar_tf.evaluation.network_parity import NetworkParity
from ofar_tf.tasks.scores import FileScores, Scores
from ofar_tf.text.size import Size
from ofar_tf.tflite.latency import Latency, PredictedLatency
from ofar_tf.tflite.tensor_info import TensorInfo

# Of a path and of a name in it, what every file system takes.
_LONGEST_PATH, _LONGEST_NAME = 1024, 255


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
        resolution: Height and width of the input, in pixels; in files a number where it is a square, else as `480x640`.
        macs: Multiply-adds of one image (the paper's FLOPs).
        params: Number of weights.
        quantization: A key of `ofar_tf.conversion.precision.PRECISIONS`.
        input: The image.
        output: What it returns, the first of several: the scores of a classifier.
        labels: The label file, relative to the manifest: line i names class i; None for tasks without classes.
        metrics: What it and its Keras parent reached on the evaluation split; None where the file does not run.
        checks: What the checks of the file found.
        parity: How far the `.keras` file agrees with the network that was trained; None where that was not measured.
        arena_bytes: Memory of the tensors while LiteRT runs it, weights not counted (`ofar_tf.tflite.arena`); None
            where it does not run.
        gpu_refused: The operators that LiteRT's GPU delegate would leave to the CPU, with the reason; by a list of ours
            (`ofar_tf.tflite.gpu_delegate`), not tried on a GPU. None where that is not known.
        layer_errors: The layers whose output lost most to rounding, the worst first; none for float32. The table
            beside the file, `<name>.layers.csv`, has all of them.
        latency: Measurements, one for each device and thread count; may be empty.
        pareto: Whether it is on the front of MACs and accuracy among the files of the same quantization and form
            that passed (`ofar_tf.evaluation.pareto`, with the noise of the images).
        selection: What it reached on the selection split, by which files are chosen; None where it is the evaluation
            split.
        versions: Versions of the programs that made the file, by name; None where they are those of the manifest.
        predicted: The latency that its structure was predicted to have on the device of the run; None where there is
            no such device, or it is of another precision.
        more_outputs: The other outputs of a file that has several.
        form: What it returns, where that is not what files of its task usually return (`Shipped.forms`).
    """

    id: str
    path: str
    sha256: str
    bytes: int
    structure: str
    rate: float
    resolution: Size
    macs: int
    params: int
    quantization: str
    input: TensorInfo
    output: TensorInfo
    labels: str | None
    metrics: FileScores | None
    checks: FileChecks
    parity: NetworkParity | None = None
    arena_bytes: int | None = None
    gpu_refused: Mapping[str, str] | None = None
    layer_errors: tuple[LayerError, ...] = ()
    latency: tuple[Latency, ...] = ()
    pareto: bool = False
    selection: Scores | None = None
    versions: Mapping[str, str] | None = None
    predicted: PredictedLatency | None = None
    more_outputs: tuple[TensorInfo, ...] = ()
    form: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "resolution", Size.of(self.resolution))  # A number, for a square.
        for path in (self.path, self.labels):
            if path is not None and not is_plain(path):
                raise ValueError(f"Expected a path within the export folder. Received: {path!r:.100}.")
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise ValueError(f"Expected a SHA-256 of 64 digits. Received: sha256={self.sha256!r:.80} of {self.path}.")
        if not self.quantization.isprintable() or not self.quantization.strip():
            raise ValueError(f"Expected the name of a precision. Received: quantization={self.quantization!r:.60}.")
        self._refuse_false_facts()

    def _refuse_false_facts(self) -> None:
        if not re.fullmatch(r"[a-z0-9_]+", self.id):
            raise ValueError(f"Expected an id of lower case letters, digits and underscores. Received: id={self.id!r}.")
        if not 0 <= self.rate < 1:
            raise ValueError(f"Expected a pruning rate in [0, 1). Received: rate={self.rate} of {self.id}.")
        if min(self.bytes, self.macs, self.params) < 1:
            raise ValueError(
                f"Expected positive bytes, macs and params. "
                f"Received: {self.bytes}, {self.macs}, {self.params} of {self.id}."
            )
        if self.checks.passed and self.metrics is None:
            raise ValueError(f"Expected metrics of a file that passed its checks. Received: none of {self.id}.")
        if (self.arena_bytes or 0) < 0:
            raise ValueError(f"Expected bytes from 0. Received: arena_bytes={self.arena_bytes} of {self.id}.")

    @property
    def variant(self) -> str:
        """The quantization, with the form where it has one: `int8 raw`. Each variant has a front of its own."""
        return f"{self.quantization} {self.form}" if self.form else self.quantization

    @property
    def chosen_by(self) -> Scores | None:
        """The scores that choices are made on: those of the selection split, if there is one; None if none runs."""
        return self.selection or self.metrics

    @property
    def reached(self) -> str:
        """The number that decides, on the evaluation split and for people; `-` where the file does not run."""
        return self.metrics.text if self.metrics else "-"

    @property
    def merit(self) -> float:
        """The number that choices are made on, so that more is better; minus infinity where the file does not run."""
        return self.chosen_by.merit if self.chosen_by else -math.inf

    @property
    def choice_noise(self) -> float:
        """How much better another must be before the difference counts (`noise_of`)."""
        return self.chosen_by.noise if self.chosen_by else 0.0


def is_plain(path: str) -> bool:
    """Tells whether a path is relative, without `..`, the same on every system, not too long, and printable.

    Args:
        path: The path, with forward slashes.
    """
    parts = path.split("/")
    if not path.isprintable() or len(path) > _LONGEST_PATH:
        return False
    return not any(
        part in ("", ".", "..") or len(part.encode()) > _LONGEST_NAME or set(part) & set("\\:") for part in parts
    )
