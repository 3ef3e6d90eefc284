"""What is known of a device's speed: `device.json`, from which the latency of any structure is predicted.

The predictor is linear in the work of each kind of operator (`operator_work`), with coefficients that are not negative:
whatever is pruned, no prediction rises, which makes budgets in milliseconds as easy to solve as those in multiply-adds.
"""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ofar_tf.files import atomic_file
from ofar_tf.files.json_values import from_json, read_json
from ofar_tf.pruning.operator_work import OPERATORS

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class PredictionError:
    """How far predictions are from what was measured, on structures that the predictor was not fitted to.

    Attributes:
        median: Half of the structures are off by at most this share of their latency.
        p90: Nine tenths of them are.
        structures: How many there were: each was predicted by a fit to all others.
    """

    median: float
    p90: float
    structures: int

    def __post_init__(self) -> None:
        if not 0 <= self.median <= self.p90 or self.structures < 1:
            raise ValueError(f"Expected an error from 0 whose median is not above its p90. Received: {self}.")

    def __str__(self) -> str:
        return f"within {self.median:.1%} for half of {self.structures} structures, {self.p90:.1%} for nine tenths"


@dataclass(frozen=True)
class LatencyPredictor:
    """Predicts latencies of the structures of networks like the one that was measured.

    Attributes:
        schema_version: Of the file.
        device: Where the times were measured.
        threads: With how many threads.
        precision: Of which kind of file, a key of `ofar_tf.conversion.precision.PRECISIONS`.
        network: The supernet whose structures were timed.
        resolutions: At which sizes, in pixels: `224`, `192x256`.
        measured_ms: The least and the largest time.
        error: How far predictions are off.
        coefficients: Milliseconds for each unit of work, by the names of `OperatorWork.of`; at least 0.
        versions: Versions of the programs that matter, by name.
        created: When, as an ISO 8601 time.
    """

    schema_version: int
    device: str
    threads: int
    precision: str
    network: str
    resolutions: tuple[str, ...]
    measured_ms: tuple[float, float]
    error: PredictionError
    coefficients: Mapping[str, float]
    versions: Mapping[str, str]
    created: str

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(f"Expected schema_version={SCHEMA_VERSION}. Received: {self.schema_version}.")
        for name in ("device", "precision", "network"):
            if not getattr(self, name).strip() or not getattr(self, name).isprintable():
                raise ValueError(f"Expected the name of a {name}. Received: {getattr(self, name)!r:.80}.")
        if self.threads < 1:
            raise ValueError(f"Expected at least one thread. Received: threads={self.threads}.")
        if any(not math.isfinite(value) or value < 0 for value in self.coefficients.values()):
            raise ValueError(f"Expected coefficients from 0. Received: {dict(self.coefficients)!r:.200}.")
        if not any(self.coefficients.values()):
            raise ValueError("Expected a coefficient above 0. Received: none.")
        if not 0 < self.measured_ms[0] <= self.measured_ms[1] or not self.resolutions:
            raise ValueError(
                "Expected positive times of some resolutions, the least first. "
                f"Received: measured_ms={self.measured_ms}, resolutions={self.resolutions}."
            )

    @property
    def place(self) -> str:
        """The device with its threads and the kind of file, for people."""
        return f"{self.device}, {self.threads} thread{'s' * (self.threads != 1)}, {self.precision}"

    def milliseconds(self, work: Mapping[str, float]) -> float:
        """Predicts the latency of one image.

        Args:
            work: What `OperatorWork.of` counts.

        Returns:
            Milliseconds.
        """
        return sum(self.coefficients[name] * amount for name, amount in work.items())

    def require_knows(self, kinds: Collection[str]) -> None:
        """Refuses networks of other operators than those that were timed.

        Args:
            kinds: `OperatorWork.kinds`.

        Raises:
            ValueError: If an operator was not timed.
        """
        known = {name.partition(".")[0] for name in self.coefficients} - {OPERATORS}
        if unknown := sorted(set(kinds) - known):
            raise ValueError(
                f"Expected a network of the operators that were timed on {self.device} in {self.network}, "
                f"{', '.join(sorted(known))}; measure_device times another network. Received: {', '.join(unknown)}."
            )

    def to_json(self) -> str:
        """Returns the text of `device.json`."""
        return json.dumps(asdict(self), indent=1) + "\n"

    def write(self, path: Path) -> None:
        """Writes `device.json`, whole or not at all."""
        atomic_file.write_text(path, self.to_json())


def read_predictor(path: str | Path) -> LatencyPredictor:
    """Reads `device.json`.

    Args:
        path: The file.

    Returns:
        The predictor.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such file of this version, in one line.
    """
    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(
            f"Expected a device, as ofar measure_device writes it. Received: {source}, which does not "
            "exist or is no file."
        )
    try:
        found: LatencyPredictor = from_json(LatencyPredictor, read_json(source), where=source.name)
    except ValueError as error:
        raise ValueError(
            f"Expected a device, as ofar measure_device writes it, in {source}. Received: {error}"
        ) from error
    return found
