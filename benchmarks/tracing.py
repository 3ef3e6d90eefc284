"""What a structure costs once: its first step, in which TensorFlow traces it, against that of a native network."""

import argparse
from pathlib import Path

import tensorflow as tf

from benchmarks import networks
from benchmarks.table import RESULTS, Row, print_rows, write_rows
from benchmarks.timing import seconds_of

RESOLUTION, SIZE = 96, 8


def first_step(rates: tuple[float, ...], network: str) -> float:
    """Returns how long the first step of a pool takes, less a step like any other."""
    model = networks.frozen_trainer(network, rates, [RESOLUTION])
    images, labels = networks.batch(SIZE, RESOLUTION)
    step = tf.function(model.train_step, autograph=False)
    first = seconds_of(lambda: step((images, labels))["teacher_loss"].numpy())
    return first - seconds_of(lambda: step((images, labels))["teacher_loss"].numpy())


def native_first_step(network: str) -> float:
    """Returns the same for one native compact network, trained alone."""
    model = networks.frozen_trainer(network, (0.0, 0.5), [RESOLUTION])
    alone = networks.NativeNetwork(model, model.pool.masks[1], fused=True)
    images, labels = networks.batch(SIZE, RESOLUTION)
    target, step = tf.one_hot(labels, networks.CLASSES), tf.function(alone.step, autograph=False)
    first = seconds_of(lambda: step(images, target))
    return first - seconds_of(lambda: step(images, target))


def evenly(structures: int) -> tuple[float, ...]:
    """Returns pruning rates from 0 to 75 %."""
    return tuple(0.75 * index / (structures - 1) for index in range(structures))


def measure(network: str) -> list[Row]:
    """Traces pools of 4 and 16 structures and single native networks, in turn."""
    first_step(evenly(2), network)  # What TensorFlow does once for a process.
    native = [native_first_step(network)]
    four = first_step(evenly(4), network)
    native.append(native_first_step(network))
    sixteen = first_step(evenly(16), network)
    native.append(native_first_step(network))
    alone = sorted(native)[1]
    return [
        Row(f"{network}: tracing a pool of 4, by structure / tracing a native network", four / 4 / alone, "<= 1.3"),
        Row(
            f"{network}: tracing a pool of 16, by structure / tracing a native network", sixteen / 16 / alone, "<= 1.3"
        ),
        Row(f"{network}: tracing a pool of 16 / four times a pool of 4", sixteen / four / 4, "<= 1.1"),
        Row(f"{network}: tracing a native network, seconds", alone),
        Row(f"{network}: tracing a pool of 4, seconds", four),
        Row(f"{network}: tracing a pool of 16, seconds", sixteen),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULTS / "tracing.json")
    arguments = parser.parse_args()
    found = measure("MobileNetV2")
    write_rows(arguments.output, found)
    print_rows(found)
