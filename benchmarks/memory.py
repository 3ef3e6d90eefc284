"""Peak memory of the sandwich against that of its largest network alone, each in a process of its own."""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

from benchmarks.table import RESULTS, Row, print_rows, write_rows

NETWORK, RESOLUTIONS, SIZE = "MobileNetV2", (96, 80, 64, 48), 256
RATES = (0.0, 0.3, 0.5, 0.75)
STEPS = 2
# What a process trains: its largest network alone, or the sandwich with settings of its step.
RUNS = {
    "alone": None,
    "sandwich": {"networks_at_once": 1},
    "two_at_once": {"networks_at_once": 2},
    "all_at_once": {"networks_at_once": 4},
    "largest_recomputed": {"networks_at_once": 1, "gradient_checkpointing": "largest"},
    "all_recomputed": {"networks_at_once": 1, "gradient_checkpointing": "all"},
}


def peak_of(what: str) -> dict[str, int]:
    """Returns the peak resident memory, in bytes, before and after training steps in a new process."""
    command = [sys.executable, "-m", "benchmarks.memory", f"--only={what}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def run(what: str) -> dict[str, int]:
    """Trains for some steps."""
    import tensorflow as tf

    from benchmarks import networks

    images, labels = networks.batch(SIZE, RESOLUTIONS[0])
    settings = RUNS[what]
    model = networks.frozen_trainer(NETWORK, RATES, RESOLUTIONS, **(settings or {}))
    before = _peak()
    if settings is not None:
        step = tf.function(model.train_step, autograph=False)
        for _ in range(STEPS):
            step((images, labels))["teacher_loss"].numpy()
    else:
        alone = networks.NativeNetwork(model, model.pool.masks[0], fused=True)
        target, train = tf.one_hot(labels, networks.CLASSES), tf.function(alone.step, autograph=False)
        for _ in range(STEPS):
            train(images, target)
    return {"before": before, "peak": _peak()}


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure() -> list[Row]:
    """Compares the processes."""
    peaks = {what: peak_of(what) for what in RUNS}
    title = f"{NETWORK} {RESOLUTIONS[0]}-{RESOLUTIONS[-1]} px, batch {SIZE}: peak memory of the sandwich"
    alone, sandwich = peaks["alone"], peaks["sandwich"]
    grown = {what: each["peak"] - each["before"] for what, each in peaks.items()}
    return [
        Row(f"{title} / of its largest network", sandwich["peak"] / alone["peak"], "<= 1.15"),
        Row(f"{title} / the same, less what was there before the first step", grown["sandwich"] / grown["alone"]),
        Row(f"{title}, two networks at once / of its largest network", peaks["two_at_once"]["peak"] / alone["peak"]),
        Row(f"{title}, all networks at once / of its largest network", peaks["all_at_once"]["peak"] / alone["peak"]),
        Row(f"{title}, --gradient_checkpointing=largest / without", grown["largest_recomputed"] / grown["sandwich"]),
        Row(f"{title}, --gradient_checkpointing=all / without", grown["all_recomputed"] / grown["sandwich"]),
        Row(f"{title}, GB", sandwich["peak"] / 1e9),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=RUNS)
    parser.add_argument("--output", type=Path, default=RESULTS / "memory.json")
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(run(arguments.only)))
    else:
        found = measure()
        write_rows(arguments.output, found)
        print_rows(found)
