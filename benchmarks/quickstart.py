"""The quick start by phases, and its training step in other number formats and through XLA."""

import argparse
import csv
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.table import RESULTS, Row, print_rows, read_rows, write_rows
from benchmarks.timing import seconds_of

CHECKOUT = Path(__file__).parents[1]
FLAGFILE = CHECKOUT / "experiments" / "fashion_mnist_mini.flagfile"
SEARCH_EPOCHS, STEPS = 3, 78
# Three more trainings would double what the benchmarks take, so they run when asked for, and their rows are kept.
FORMATS = RESULTS / "quickstart_formats.json"
_EPOCH = re.compile(rf"^{STEPS}/{STEPS} - \d+s - (\d+)(ms|s)/step", re.MULTILINE)

VARIANTS = {
    "float32": [],
    "mixed_bfloat16": ["--dtype_policy=mixed_bfloat16"],
    "XLA": ["--jit_compile"],
}


def command(name: str, *flags: str) -> str:
    """Runs one of our commands and returns what it printed."""
    run = [sys.executable, "-m", f"ofar_tf.{name}", *flags]
    return subprocess.run(run, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout


def train(run_dir: Path, *flags: str) -> list[float]:
    """Trains the quick start and returns how many seconds the steps of each epoch took."""
    printed = command("train", f"--flagfile={FLAGFILE}", *flags, f"--run_dir={run_dir}")
    return [STEPS * float(value) / (1000 if unit == "ms" else 1) for value, unit in _EPOCH.findall(printed)]


def accuracies(run_dir: Path) -> list[float]:
    """Returns the top-1 of each structure at the largest resolution, after the last epoch."""
    with (run_dir / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [float(row["top1"]) for row in rows if row["epoch"] == rows[-1]["epoch"]]


def phases(folder: Path) -> list[Row]:
    """Runs the whole quick start."""
    epochs: list[float] = []
    total = {
        "train": seconds_of(lambda: epochs.extend(train(folder))),
        "evaluate": seconds_of(lambda: command("evaluate", f"--run_dir={folder}")),
        "export": seconds_of(lambda: command("export", f"--run_dir={folder}", "--only=all")),
    }
    search = sum(epochs[:SEARCH_EPOCHS])
    return [
        Row("quick start, seconds: the whole of it", sum(total.values()), "<= 180"),
        Row("quick start, seconds: start of training", total["train"] - sum(epochs)),
        Row("quick start, seconds: search", search),
        Row("quick start, seconds: joint training", sum(epochs) - search),
        Row("quick start, seconds: evaluation", total["evaluate"]),
        Row("quick start, seconds: export of 16 files", total["export"], "<= 60"),
        # The first epoch of each phase builds graphs.
        Row(
            "quick start: search epoch / joint epoch",
            statistics.median(epochs[1:SEARCH_EPOCHS]) / statistics.median(epochs[SEARCH_EPOCHS + 1 :]),
            "<= 1.2",
        ),
    ]


def formats(folder: Path) -> list[Row]:
    """Trains the quick start in every variant; the second half of the epochs traces nothing more."""
    rows, steady = [], {}
    for name, flags in VARIANTS.items():
        run_dir = folder / name
        epochs = train(run_dir, *flags)
        steady[name] = statistics.median(epochs[len(epochs) // 2 :])
        top1 = accuracies(run_dir)
        rows += [
            Row(f"quick start in {name}: steps a second", STEPS / steady[name]),
            Row(f"quick start in {name}: steps a second / float32", steady["float32"] / steady[name]),
            Row(f"quick start in {name}: top-1 of the largest structure", top1[0]),
            Row(f"quick start in {name}: top-1 of the smallest structure", top1[-1]),
        ]
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--formats", action="store_true", help=f"train in every number format, ten minutes, and write {FORMATS.name}"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "quickstart.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        if arguments.formats:
            write_rows(FORMATS, formats(Path(temporary)))
        found = [*phases(Path(temporary) / "phases"), *(read_rows(FORMATS) if FORMATS.is_file() else [])]
    write_rows(arguments.output, found)
    print_rows(found)
