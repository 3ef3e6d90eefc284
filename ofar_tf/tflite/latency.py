"""How long a file takes for one image, on this machine or measured elsewhere."""

import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_BENCHMARK = "ofar_tf.tflite.litert_benchmark"
_PACKAGE_PARENT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Latency:
    """How long one image takes on one device.

    Attributes:
        device: Where it was measured.
        threads: How many threads were used.
        median_ms: Half of the runs took at most this many milliseconds.
        p90_ms: Nine tenths of the runs took at most this many milliseconds; None where that was not measured.
        p95_ms: The same for nineteen twentieths, which is what LiteRT's benchmarks print.
        runs: How many runs were timed; None where that is not known.
    """

    device: str
    threads: int
    median_ms: float
    p90_ms: float | None = None
    p95_ms: float | None = None
    runs: int | None = None

    def __post_init__(self) -> None:
        if not self.device.strip() or len(self.device.splitlines()) != 1:
            raise ValueError(f"Expected the name of a device. Received: device={self.device!r}.")
        if self.threads < 1 or (self.runs is not None and self.runs < 1):
            raise ValueError(f"Expected at least one thread and one run. Received: {self}.")
        given = [value for value in (self.median_ms, self.p90_ms, self.p95_ms) if value is not None]
        if not all(math.isfinite(value) and value > 0 for value in given) or given != sorted(given):
            raise ValueError(
                "Expected positive milliseconds, the median not above p90 and p90 not above p95. "
                f"Received: median_ms={self.median_ms}, p90_ms={self.p90_ms}, p95_ms={self.p95_ms}."
            )

    @property
    def place(self) -> tuple[str, int]:
        """What tells measurements of one file apart."""
        return self.device, self.threads


def this_machine() -> str:
    """Names the computer that runs this, for instance `x86_64, 4 cores (this machine)`."""
    return f"{platform.machine()}, {os.cpu_count()} cores (this machine)"


def measure_latency(path: str | Path, *, threads: int = 1, seconds: float = 1.0) -> Latency:
    """Times a file with LiteRT's own benchmark, `litert-benchmark`, in a process of its own.

    It says how files compare on this machine, never how fast a phone is. Let nothing else run meanwhile.

    Args:
        path: The file.
        threads: How many threads LiteRT uses.
        seconds: About how long the timed runs take together.

    Returns:
        The figures, not rounded.

    Raises:
        ValueError: If a number makes no sense.
        RuntimeError: If the benchmark fails, in one line.
    """
    if threads < 1 or not seconds > 0:
        raise ValueError(f"Expected at least one thread and some time. Received: threads={threads}, seconds={seconds}.")
    with tempfile.TemporaryDirectory(prefix="ofar_tf_latency_") as folder:
        result = Path(folder) / "result.json"
        process = subprocess.run(
            [sys.executable, "-m", _BENCHMARK, str(path), str(threads), str(seconds), str(result)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(_python_path())},
        )
        if process.returncode or not result.is_file():
            lines = (process.stdout or process.stderr).strip().splitlines() or ["no message"]
            raise RuntimeError(f"LiteRT's benchmark failed on {path}: {lines[-1]:.200}")
        figures = json.loads(result.read_text(encoding="utf-8"))
    return Latency(this_machine(), threads, **figures)


def _python_path() -> list[str]:
    return [str(_PACKAGE_PARENT), *filter(None, [os.environ.get("PYTHONPATH")])]


def merged(first: Sequence[Latency], second: Sequence[Latency]) -> tuple[Latency, ...]:
    """Joins the measurements of one file; of two at the same place the first counts.

    Args:
        first: Measurements.
        second: More of them.

    Returns:
        One measurement for each device and thread count.
    """
    return tuple({latency.place: latency for latency in (*second, *first)}.values())
