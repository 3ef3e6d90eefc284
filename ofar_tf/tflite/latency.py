"""How long a file takes for one image, on this machine or measured elsewhere."""

import json
import math
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ofar_tf.files.scratch_folder import scratch_folder

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
        rounds: How many times all files were gone through, in another order each time; the figures are the medians over
            rounds. None where that is not known.
        spread_ms: The least and the largest median of a round, in milliseconds; None where that is not known.
    """

    device: str
    threads: int
    median_ms: float
    p90_ms: float | None = None
    p95_ms: float | None = None
    runs: int | None = None
    rounds: int | None = None
    spread_ms: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not self.device.strip() or not self.device.isprintable():
            raise ValueError(f"Expected the name of a device. Received: device={self.device!r:.80}.")
        if min(count for count in (self.threads, self.runs, self.rounds) if count is not None) < 1:
            raise ValueError(f"Expected at least one thread and one run. Received: {self}.")
        given = [value for value in (self.median_ms, self.p90_ms, self.p95_ms) if value is not None]
        if not all(math.isfinite(value) and value > 0 for value in given) or given != sorted(given):
            raise ValueError(
                "Expected positive milliseconds, the median not above p90 and p90 not above p95. "
                f"Received: median_ms={self.median_ms}, p90_ms={self.p90_ms}, p95_ms={self.p95_ms}."
            )
        least, most = self.spread_ms or (self.median_ms, self.median_ms)
        if not 0 < least <= self.median_ms <= most < math.inf:
            raise ValueError(
                "Expected a spread around the median. "
                f"Received: spread_ms={self.spread_ms}, median_ms={self.median_ms}."
            )

    def may_equal(self, other: "Latency") -> bool:
        """Tells whether the rounds do not separate two files: whether their spreads overlap.

        Of two equally fast files, five rounds of each do not overlap once in 126 times.

        Args:
            other: Another file's figures, of the same place.

        Returns:
            Whether no difference was shown; False where a spread is not known.
        """
        if self.spread_ms is None or other.spread_ms is None:
            return False
        return self.spread_ms[0] <= other.spread_ms[1] and other.spread_ms[0] <= self.spread_ms[1]

    @property
    def place(self) -> tuple[str, int]:
        """What tells measurements of one file apart."""
        return self.device, self.threads


@dataclass(frozen=True)
class PredictedLatency:
    """How long one image takes on one device as a predictor says, which was fitted to other files.

    Attributes:
        device: For which device.
        threads: With how many threads.
        ms: Milliseconds.
        error: The predictor's own: half of the structures that it was not fitted to were off by at most this share.
    """

    device: str
    threads: int
    ms: float
    error: float

    def __post_init__(self) -> None:
        Latency(self.device, self.threads, self.ms)  # The same values are refused.
        if not 0 <= self.error < math.inf:
            raise ValueError(f"Expected an error from 0. Received: error={self.error}.")

    @property
    def place(self) -> tuple[str, int]:
        """As of a measurement."""
        return self.device, self.threads


def this_machine() -> str:
    """Names the computer that runs this, for instance `Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz, 8 cores (...)`."""
    return f"{_processor()}, {os.cpu_count()} cores (this machine)"


@cache
def _processor() -> str:
    """Names the model of the processor; only its architecture where the system does not tell more."""
    found = [_from_cpuinfo(Path("/proc/cpuinfo")), _from_sysctl(), platform.processor(), platform.machine()]
    names = (" ".join(name.split()) for name in found)
    return next((name for name in names if name and name.isprintable()), "unknown processor")


def _from_cpuinfo(path: Path) -> str:
    """Reads Linux's file; ARM's has the name of the board or only the numbers of the maker and the part."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    facts = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    part = " ".join(f"{key} {facts[key]}" for key in ("cpu implementer", "cpu part") if key in facts)
    names = [facts.get(key, "") for key in ("model name", "hardware", "model", "cpu model")] + [part]
    # On x86, `model` is a number only, and virtual machines may call the name unknown.
    return next((name for name in names if name and not name.isdigit() and name.lower() != "unknown"), "")


def _from_sysctl() -> str:
    if platform.system() != "Darwin":
        return ""
    command = ["sysctl", "-n", "machdep.cpu.brand_string"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def measure_latencies(
    paths: Sequence[str | Path], *, threads: int = 1, seconds: float = 1.0, rounds: int = 5
) -> list[Latency | RuntimeError]:
    """Times files with LiteRT's own benchmark, `litert-benchmark`, in a process of its own.

    All files are gone through several times, each time beginning elsewhere, so that a machine that becomes slower or
    faster meanwhile does so for all of them. They say how files compare on this machine, never how fast a phone is. Let
    nothing else run meanwhile.

    Args:
        paths: The files.
        threads: How many threads LiteRT uses.
        seconds: About how long the timed runs of a file take, over all rounds.
        rounds: How many times to go through the files.

    Returns:
        For each file its figures, not rounded, or why there are none, in one line.

    Raises:
        ValueError: If a number makes no sense.
    """
    if threads < 1 or not seconds > 0 or rounds < 1:
        raise ValueError(
            "Expected at least one thread and some time, in rounds. "
            f"Received: threads={threads}, seconds={seconds}, rounds={rounds}."
        )
    found: dict[int, list[dict[str, Any]]] = {index: [] for index in range(len(paths))}
    for number in range(rounds):
        start = number * len(paths) // rounds
        order = [index for index in (*range(start, len(paths)), *range(start)) if not _failed(found[index])]
        for index, figures in zip(order, _one_round([paths[i] for i in order], threads, seconds / rounds), strict=True):
            found[index].append(figures)
    return [_summary(path, found[index], threads=threads) for index, path in enumerate(paths)]


def _failed(rounds: Sequence[dict[str, Any]]) -> bool:
    return bool(rounds) and "error" in rounds[-1]


def _one_round(paths: Sequence[str | Path], threads: int, seconds: float) -> list[dict[str, Any]]:
    """Times files once; where one ends the process, the next process goes on behind it."""
    results: list[dict[str, Any]] = []
    while len(results) < len(paths):
        with scratch_folder("latency") as folder:
            result = folder / "result.jsonl"
            left = [str(path) for path in paths[len(results) :]]
            process = subprocess.run(
                [sys.executable, "-m", _BENCHMARK, str(threads), str(seconds), str(result), *left],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(_python_path())},
            )
            lines = result.read_text(encoding="utf-8").splitlines() if result.is_file() else []
        results += [json.loads(line) for line in lines]
        if len(lines) < len(left):
            said = (process.stderr or process.stdout).strip().splitlines() or ["no message"]
            results.append({"error": f"status {process.returncode}: {said[-1]}"})
    return results


def _summary(path: str | Path, rounds: Sequence[dict[str, Any]], *, threads: int) -> Latency | RuntimeError:
    """Takes the median over rounds of each figure, which keeps their order, and the spread of the medians."""
    if _failed(rounds):
        return RuntimeError(f"LiteRT's benchmark failed on {path}: {rounds[-1]['error']:.200}")
    medians = [each["median_ms"] for each in rounds]
    figures = {name: statistics.median(each[name] for each in rounds) for name in ("median_ms", "p90_ms", "p95_ms")}
    return Latency(
        this_machine(),
        threads,
        **figures,
        runs=sum(each["runs"] for each in rounds),
        rounds=len(rounds),
        spread_ms=(min(medians), max(medians)),
    )


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
