"""How long a user waits before anything happens, each time in a new process."""

import argparse
import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks.table import RESULTS, Row, print_rows, write_rows
from benchmarks.timing import time_in_turn

COMMANDS = {
    "help": ["-m", "ofar_tf.train", "--help"],
    "ofar_tf": ["-c", "import ofar_tf"],
    "models": ["-c", "import ofar_tf; ofar_tf.models"],
    "keras": ["-c", "import keras"],
}


def measure(repetitions: int) -> list[Row]:
    """Starts each command in turn."""
    runs = {
        name: partial(subprocess.run, [sys.executable, *command], capture_output=True, check=True)
        for name, command in COMMANDS.items()
    }
    rounds = time_in_turn(runs, repetitions=repetitions)
    return [
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
