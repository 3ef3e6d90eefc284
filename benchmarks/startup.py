"""How long a user waits before anything happens, each time in a new process."""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.table import RESULTS, Row, print_rows, write_rows
from benchmarks.timing import seconds_of

COMMANDS = {
    "help": ["-m", "ofar_tf.train", "--help"],
    "ofar_tf": ["-c", "import ofar_tf"],
    "models": ["-c", "import ofar_tf; ofar_tf.models"],
    "keras": ["-c", "import keras"],
}


def measure(repetitions: int) -> list[Row]:
    """Starts each command in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(repetitions):
        for name, command in COMMANDS.items():
            run = [sys.executable, *command]
            seconds[name].append(seconds_of(lambda run=run: subprocess.run(run, capture_output=True, check=True)))
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return [
        Row("python -m ofar_tf.train --help, seconds", median["help"], "< 1"),
        Row("import ofar_tf / import keras", median["ofar_tf"] / median["keras"], "< 1.1"),
        Row("import ofar_tf, with its models / import keras", median["models"] / median["keras"]),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS / "startup.json")
    arguments = parser.parse_args()
    found = measure(arguments.repetitions)
    write_rows(arguments.output, found)
    print_rows(found)
