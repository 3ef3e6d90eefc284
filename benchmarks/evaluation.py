"""Calibrating and evaluating a whole pool against plain forward passes of the same networks over the same images."""

import argparse
from pathlib import Path

import tensorflow as tf

from benchmarks import networks
from benchmarks.table import RESULTS, Row, print_rows, write_rows
from benchmarks.timing import time_in_turn
from ofar_tf.data import resize_batch
from ofar_tf.evaluation.pool_accuracy import PoolAccuracy, PoolImages
from ofar_tf.pruning.subnet import build_subnet

RATES = (0.0, 0.3, 0.5, 0.75)


def measure(network: str, *, resolutions: tuple[int, ...], size: int, repetitions: int) -> list[Row]:
    """Measures a pool at every resolution, and runs as many batches through native networks."""
    model = networks.frozen_trainer(network, RATES, resolutions)
    batches = [networks.batch(size, resolutions[0]) for _ in range(4)]
    images = PoolImages(calibration=lambda: batches, evaluation=lambda: batches)
    accuracy = PoolAccuracy(model.supernet, model.groups, images, task=model.task)
    alone = [build_subnet(model.supernet, model.groups, mask, trainable_copy=True) for mask in model.pool.masks]
    # Calibration runs in training mode, where BatchNorm computes statistics; so does the pass it is held against.
    passes = [
        tf.function(
            lambda images, network=network, training=training: network(images, training=training),
            input_signature=[tf.TensorSpec([None, None, None, 3])],
        )
        for network in alone
        for training in (True, False)
    ]

    def forward() -> None:
        for run in passes:
            for pictures, _ in batches:
                for resolution in resolutions:
                    run(resize_batch(pictures, resolution)).numpy()

    runs = {
        "pool": lambda: accuracy.measure(model.pool.masks, resolutions=resolutions),
        "forward": forward,
    }
    rounds = time_in_turn(runs, repetitions=repetitions)
    title = f"{network} {resolutions[0]}-{resolutions[-1]} px: calibrating and evaluating the pool / forward passes"
    return [Row(title, rounds.ratio("pool", "forward"), "<= 1")]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--output", type=Path, default=RESULTS / "evaluation.json")
    arguments = parser.parse_args()
    found = [
        *measure("MobileNetV2", resolutions=(96, 80, 64, 48), size=32, repetitions=arguments.repetitions),
        *measure("ResNet-20", resolutions=(32, 28, 24, 20), size=125, repetitions=arguments.repetitions),
    ]
    write_rows(arguments.output, found)
    print_rows(found)
