"""Training steps a second with the real input pipeline, against the same steps on a batch that lies in memory."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from benchmarks.table import RESULTS, Row, print_rows, write_rows
from benchmarks.timing import time_in_turn
from ofar_tf.run.experiment import Experiment
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.search.mask_search import MaskSearch

SHARED = Path(__file__).parents[2] / "shared" / "data"

SETTINGS = {
    "CIFAR-10, ResNet-20": {
        "dataset": "cifar10",
        "data_dir": str(SHARED),
        "model": "resnet20",
        "augmentation": "pad_and_crop",
        "resolutions": (32, 28, 24, 20),
        "batch_size": 128,
    },
    "Imagenette, MobileNetV2 0.5x at 128 px": {
        "dataset": "imagenette/160px-v2",
        "data_dir": str(SHARED),
        "model": "mobilenet_v2",
        "width_multiplier": 0.5,
        "resolutions": (128, 112, 96, 80),
        "batch_size": 32,
    },
}


def measure(name: str, *, steps: int, repetitions: int) -> list[Row]:
    """Trains some steps on each source in turn.

    The pipeline works ahead. It keeps up with training, so what it has ready is full before and after each turn of its
    own: there it makes as many batches as are trained on, and in the other's turn none.
    """
    config = TrainConfig(
        run_dir="unused", pruning_rates=(0.0, 0.3, 0.5, 0.7), search_epochs=0, epochs=1, **SETTINGS[name]
    )
    experiment = Experiment(config)
    model = experiment.build_trainer(experiment.build_supernet())
    search = MaskSearch(epochs=0)
    search.set_model(model)
    search.on_train_begin()
    step = tf.function(model.train_step, autograph=False)

    def train(batches: Iterator) -> None:
        # The networks and resolutions of a step are drawn by its number: every time, the same ones are trained.
        model.optimizer.iterations.assign(0)
        for _ in range(steps):
            losses = step(next(batches))
        losses["teacher_loss"].numpy()

    real = iter(experiment.images.training_batches(start_epoch=0))
    memory = iter(tf.data.Dataset.from_tensors(next(real)).repeat())
    rounds = time_in_turn({"memory": lambda: train(memory), "real": lambda: train(real)}, repetitions=repetitions)
    return [
        Row(f"{name}: steps a second with the real pipeline / in memory", rounds.ratio("memory", "real"), ">= 0.95"),
        Row(f"{name}: images a second", config.batch_size * steps / rounds.median("real")),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=4)
    parser.add_argument("--output", type=Path, default=RESULTS / "pipeline.json")
    arguments = parser.parse_args()
    found = []
    for each, values in SETTINGS.items():
        if "data_dir" in values and not SHARED.is_dir():
            print(f"Left out: {each}, whose data set is not in {SHARED}.")
            continue
        found += measure(each, steps=2, repetitions=arguments.repetitions)
    write_rows(arguments.output, found)
    print_rows(found)
