"""Runs the benchmarks of training, each in a process of its own: `python -m benchmarks`."""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.table import RESULTS, print_rows, read_rows, write_rows

# What compares things within one process comes first, while the machine is as it was found.
BENCHMARKS = (
    "step_time",
    "search_epoch",
    "short_run",
    "tracing",
    "memory",
    "evaluation",
    "pipeline",
    "startup",
    "quickstart",
)


def main() -> int:
    """Runs them in turn and writes `results/latest.json`; the status is 1 if one of them broke off."""
    rows, broken, begun = [], [], time.monotonic()
    for name in BENCHMARKS:
        print(f"{name} (after {time.monotonic() - begun:.0f} s)", flush=True)
        output = RESULTS / f"{name}.json"
        output.unlink(missing_ok=True)
        run = [sys.executable, "-m", f"benchmarks.{name}", f"--output={output}"]
        with (RESULTS / f"{name}.log").open("wb") as log:
            status = subprocess.run(run, cwd=Path(__file__).parents[1], stdout=log, stderr=log, check=False).returncode
        if status:
            broken.append(name)
            print(f"  broke off, see {log.name}")
        else:
            rows += read_rows(output)
    write_rows(RESULTS / "latest.json", rows)
    print_rows(rows)
    print(f"{time.monotonic() - begun:.0f} s in all.")
    return 1 if broken else 0


if __name__ == "__main__":
    RESULTS.mkdir(exist_ok=True)
    sys.exit(main())
