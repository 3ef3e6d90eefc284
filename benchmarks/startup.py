"""How long a user waits before anything happens, each time in a new process."""

import argparse
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.quickstart import CHECKOUT, FLAGFILE
from benchmarks.table import RESULTS, Row, print_rows, write_rows
from benchmarks.timing import time_in_turn

# The command itself, ended by the first callback that sees a step.
FIRST_STEP = """
import sys
from ofar_tf import flags, train
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.training.epoch_steps import EpochSteps

def end(self, batch, logs=None):
    raise SystemExit(0)

EpochSteps.on_train_batch_end = end
flags.run(train.main, TrainConfig)
"""
COMMANDS = {
    "help": ["-m", "ofar_tf.train", "--help"],
    "ofar_tf": ["-c", "import ofar_tf"],
    "models": ["-c", "import ofar_tf; ofar_tf.models"],
    "keras": ["-c", "import keras"],
}


def first_step() -> None:
    """Begins the quick start, and ends it after its first step."""
    with tempfile.TemporaryDirectory() as folder:
        start = [sys.executable, "-c", FIRST_STEP, f"--flagfile={FLAGFILE}", f"--run_dir={folder}/run"]
        subprocess.run(start, cwd=CHECKOUT, capture_output=True, check=True)


def measure(repetitions: int) -> list[Row]:
    """Starts each command in turn."""
    runs = {
        name: partial(subprocess.run, [sys.executable, *command], capture_output=True, check=True)
        for name, command in COMMANDS.items()
    }
    rounds = time_in_turn({**runs, "first step": first_step}, repetitions=repetitions)
    return [
        Row("quick start, seconds: from the command to the first training step", rounds.median("first step"), "<= 10"),
        Row("python -m ofar_tf.train --help, seconds", rounds.median("help"), "< 1"),
        Row("import ofar_tf / import keras", rounds.ratio("ofar_tf", "keras"), "< 1.1"),
        Row("import ofar_tf, with its models / import keras", rounds.ratio("models", "keras")),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS / "startup.json")
    arguments = parser.parse_args()
    found = measure(arguments.repetitions)
    write_rows(arguments.output, found)
    print_rows(found)
