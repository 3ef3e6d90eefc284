"""A step of four networks against MutualNet's own code, for the same multiply-adds.

    git clone https://github.com/taoyang1122/MutualNet
    python -m benchmarks.mutual_net --repository=MutualNet --python=PYTHON_WITH_TORCH

Their PyTorch network runs in a process of its own, in turn with ours, with as many networks of as many multiply-adds
(theirs are narrower everywhere alike, ours have lost channels at random) at the same sizes. Their loop is for CUDA, so
that its steps are taken one by one, without data, schedule and log. For an idle machine only: PyTorch's threads wait
for each other, a hundred times as long where others hold a core. Not part of `make benchmark`, as it needs both.
"""

import argparse
import json
import statistics
from pathlib import Path

import tensorflow as tf

from benchmarks import networks
from benchmarks.step_time import SANDWICH
from benchmarks.table import Row, print_rows
from benchmarks.timing import seconds_of
from benchmarks.worker import Worker
from ofar_tf.devices.processors import share_cores
from ofar_tf.pruning.costs import Costs

RESOLUTIONS, BATCH = (96, 80, 64, 48), 32


def measure(python: str, repository: Path, *, repetitions: int) -> list[Row]:
    """Times both in turn, step by step.

    Args:
        python: A Python that has PyTorch.
        repository: A clone of theirs.
        repetitions: Steps of each that are counted.
    """
    share_cores()
    model = networks.frozen_trainer("MobileNetV2", SANDWICH, RESOLUTIONS, networks_per_step="all", weight_decay=0.0)
    batch = networks.batch(BATCH, RESOLUTIONS[0])
    step = tf.function(model.train_step, autograph=False)
    macs = [Costs(model.groups).macs(mask, RESOLUTIONS[0]) for mask in model.pool.masks]
    settings = json.dumps({"macs": macs, "size": RESOLUTIONS[0], "batch": BATCH})
    theirs = Worker([python, Path(__file__).with_name("mutual_net_worker.py"), repository, settings])
    ratios, work = [], []
    for index in range(repetitions + 2):
        _, drawn = model._sandwich.rule.draw(tf.constant(index))
        sizes = [int(pixels[0]) for pixels in drawn]
        seconds = seconds_of(lambda: step(batch)["teacher_loss"].numpy())
        answer = theirs.ask(sizes)
        if index >= 2:  # Traced, and their kernels chosen.
            ours = sum(each * (size / RESOLUTIONS[0]) ** 2 for each, size in zip(macs, sizes, strict=True))
            work.append(ours / answer["macs"])
            ratios.append(seconds / answer["seconds"] / work[-1])
    theirs.end()
    title = f"MobileNetV2 {RESOLUTIONS[0]}-{RESOLUTIONS[-1]} px, batch {BATCH}: sandwich step / MutualNet's code"
    return [
        Row(f"{title}, for the same multiply-adds", statistics.median(ratios), "<= 0.5"),
        Row(f"{title}, multiply-adds of a step", statistics.median(work)),
    ]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--python", required=True)
    parser.add_argument("--repetitions", type=int, default=30)
    arguments = parser.parse_args()
    print_rows(measure(arguments.python, arguments.repository, repetitions=arguments.repetitions))


if __name__ == "__main__":
    main()
