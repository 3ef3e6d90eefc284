"""Runs `litert-benchmark`: `python -m ofar_tf.tflite.litert_benchmark THREADS SECONDS RESULT.jsonl FILE...`.

The program itself gives the median and the 95th percentile, rounded to 0.01 ms, which may be a tenth of what a small
network takes. This module runs it as it is and keeps the durations that it hands to its own percentiles. It changes the
program and the standard output of its process, and is no good for any other.
"""

import contextlib
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ai_edge_litert.tools import benchmark_litert_model as program

_TRIAL, _FEWEST, _MOST = 5, 10, 300
_percentile = program.percentile


def main(arguments: Sequence[str]) -> int:
    """Times files one after the other, each first briefly, to see how many runs fill the time.

    Args:
        arguments: How many threads, about how many seconds a file, where the figures go, and the files.

    Returns:
        The exit status, 0. Each file has a line in the result, in its order: its figures, or `error` with the reason. A
        file that ends the process has none.
    """
    threads, seconds, result, *paths = arguments
    with Path(result).open("w", encoding="utf-8") as lines:
        for path in paths:
            lines.write(json.dumps(_time(path, threads=threads, seconds=float(seconds))) + "\n")
            lines.flush()
    return 0


def _time(path: str, *, threads: str, seconds: float) -> dict[str, float | str]:
    try:
        trial = _durations(path, threads=threads, runs=_TRIAL)
        runs = min(_MOST, max(_FEWEST, int(1000 * seconds / trial[_TRIAL // 2])))
        return {**figures(_durations(path, threads=threads, runs=runs))}
    except (Exception, SystemExit) as error:  # The program leaves by itself where it dislikes a file.
        return {"error": " ".join(f"{type(error).__name__}: {error}".split())}


def figures(durations: Sequence[float]) -> dict[str, float]:
    """Summarizes runs.

    Args:
        durations: Milliseconds of each run, rising.

    Returns:
        `median_ms`, `p90_ms`, `p95_ms` and `runs`.
    """
    percents = {"median_ms": 50, "p90_ms": 90, "p95_ms": 95}
    return {name: _percentile(durations, percent) for name, percent in percents.items()} | {"runs": len(durations)}


def _durations(path: str, *, threads: str, runs: int) -> list[float]:
    kept: list[float] = []

    def keep(durations: list[float], percent: float) -> float:
        kept[:] = durations
        return float(_percentile(durations, percent))

    flags = ["--model", path, "--num_threads", threads, "--num_runs", str(runs), "--warmup_runs", "3"]
    program.percentile, sys.argv = keep, ["litert-benchmark", *flags]
    with contextlib.redirect_stdout(io.StringIO()):
        program.run_benchmark(program.parse_args())
    if len(kept) != runs:
        raise RuntimeError(f"Expected the durations of {runs} runs. Received: {len(kept)}.")
    return kept


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
