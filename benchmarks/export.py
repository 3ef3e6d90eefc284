"""The export of the quick start, 16 files: its seconds, and their share of what another version takes.

python -m benchmarks.export RUN                      # RUN: a quick start that was trained and evaluated
python -m benchmarks.export RUN --baseline=CHECKOUT  # in turn with the code of another checkout, on the same machine

The processor's seconds are those of all its processes; on a machine that does other things too they say more.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.table import RESULTS, Row, print_rows, write_rows
from benchmarks.timing import seconds_of

CHECKOUT = Path(__file__).parents[1]
TARGET = "<= 0.6"


def export(checkout: Path, run: Path, *flags: str) -> tuple[float, float]:
    """Exports a run from nothing with the code of a checkout.

    Args:
        checkout: Where the package lies.
        run: The run; what the export writes goes elsewhere.
        flags: More flags.

    Returns:
        Seconds on the clock, and the processor's seconds of all processes.
    """
    with tempfile.TemporaryDirectory() as scratch:
        copy = shutil.copytree(run, Path(scratch) / "run", ignore=shutil.ignore_patterns("export", "checkpoints"))
        command = [sys.executable, "-m", "ofar_tf.export", f"--run_dir={copy}", "--only=all", *flags]
        before = _processor_seconds()
        seconds = seconds_of(lambda: _call(command, checkout))
        return seconds, _processor_seconds() - before


def _call(command: list[str], checkout: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    ended = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode not in (0, 1):  # 1: a file failed its check, which is not the question here.
        raise SystemExit(ended.stderr)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rows(run: Path, baseline: Path | None, *, repetitions: int) -> list[Row]:
    """Times the export, in turn with that of the baseline.

    Args:
        run: The run.
        baseline: The other checkout, if any.
        repetitions: How often.

    Returns:
        The figures.
    """
    ours, theirs = [], []
    for _ in range(repetitions):
        ours.append(export(CHECKOUT, run))
        if baseline:
            theirs.append(export(baseline, run))
    clock, processor = (statistics.median(each) for each in zip(*ours, strict=True))
    found = [
        Row("quick start, 16 files: seconds of the export", clock),
        Row("quick start, 16 files: the processor's seconds", processor),
    ]
    if theirs:
        ratios = [[own / other for own, other in zip(*pair, strict=True)] for pair in zip(ours, theirs, strict=True)]
        clock_ratio, processor_ratio = (statistics.median(each) for each in zip(*ratios, strict=True))
        found += [
            Row("quick start, 16 files: seconds / those of the baseline", clock_ratio, TARGET),
            Row("quick start, 16 files: the processor's seconds / those of the baseline", processor_ratio, TARGET),
        ]
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--baseline", type=Path)
    parser.add_argument("--repetitions", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULTS / "export.json")
    arguments = parser.parse_args()
    timed = rows(arguments.run, arguments.baseline, repetitions=arguments.repetitions)
    write_rows(arguments.output, timed)
    print_rows(timed)
