"""How many images a second the training pipeline gives for each processor core, and where the time goes.

python benchmarks/input_pipeline.py [--quick]

Photographs of ImageNet's statistics (500 x 375 pixels, JPEGs of about 110 kB) are made from noise at many scales and
kept in memory, so that reading from disk, which differs from machine to machine, is not measured. Speeds are images per
second of processor time, summed over all threads: other programs on the machine slow it less than they slow a clock.

Prints a table and writes results/input_pipeline.json beside this file.
"""

import argparse
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# As is best where a GPU does the rest: images are worked on in parallel, so to split one over threads only costs.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from ofar_tf import models
from ofar_tf.data import ImageDataset, training_batches
from ofar_tf.data.augmentation import Augmentation, random_window
from ofar_tf.data.decoding import decode_stored
from ofar_tf.data.mixing import Mixing
from ofar_tf.data.preprocessing import stretch


class Seconds(NamedTuple):
    """Time for one image, of all processors together and by the clock."""

    processor: float
    clock: float


Stage = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""An image's record and its seed to the image, as far as it has come."""

HEIGHT, WIDTH, RESOLUTION, BATCH = 375, 500, 224, 64
CROP_SCALE, PHOTOGRAPHS = (0.25, 1.0), 64
RESULTS = Path(__file__).with_name("results") / "input_pipeline.json"
SETTINGS: dict[str, dict[str, Any]] = {
    "crop and flip": {},
    "crop and flip, crops from 0.08": {"crop_scale": (0.08, 1.0)},
    "+ color_jitter 0.4": {"color_jitter": 0.4},
    "+ rand_augment 2 x 9": {"rand_augment_layers": 2},
    "+ mixup 0.2": {"mixup_alpha": 0.2},
    "+ cutmix 1.0": {"cutmix_alpha": 1.0},
    "+ all of these": {"color_jitter": 0.4, "rand_augment_layers": 2, "mixup_alpha": 0.2, "cutmix_alpha": 1.0},
}
# DESIGN.md, section 1: multiply-adds of a sandwich step on MobileNetV2-1.5x, forward, for each image.
SANDWICH_MACS, WHOLE_MACS = 0.97e9, 672_832_704
# An H100 SXM's memory bandwidth, from its data sheet.
H100_BYTES_PER_SECOND = 3.35e12
# Each activation of a convolution, in bfloat16, forward: written, read for BatchNorm's statistics, read and written to
# normalise it, read by the next layer; backward about twice that. Weights are small beside them.
BYTES_PER_ACTIVATION = 2 * (5 + 10)


def photographs(count: int) -> list[bytes]:
    """Returns JPEGs of noise at many scales, which compress as photographs do."""
    random = np.random.default_rng(0)
    encoded = []
    for _ in range(count):
        image = np.zeros([HEIGHT, WIDTH, 3], np.float32)
        for octave, weight in ((0, 0.06), (1, 0.12), (2, 0.15), (3, 0.17), (5, 0.2), (7, 0.3)):
            noise = random.uniform(0, 255, (max(2, HEIGHT >> octave), max(2, WIDTH >> octave), 3))
            image += weight * tf.image.resize(noise, (HEIGHT, WIDTH), method="bicubic").numpy()
        encoded.append(tf.io.encode_jpeg(np.clip(image, 0, 255).astype(np.uint8), quality=96).numpy())
    return encoded


def dataset_of(encoded: list[bytes], size: int) -> tuple[ImageDataset, tf.Variable]:
    """Returns a data set of these photographs, and how many of them were decoded so far."""
    decoded = tf.Variable(0, dtype=tf.int64)

    def read(split: str, start: int, stop: int) -> tf.data.Dataset:
        whole = tf.data.Dataset.from_tensor_slices(encoded).repeat(-(-size // len(encoded)))
        return whole.skip(start).take(stop - start).map(lambda record: (record, tf.constant(0, tf.int64)))

    def decode(record: tf.Tensor) -> tf.Tensor:
        decoded.assign_add(1)
        return decode_stored(record)

    names = tuple(f"class {index}" for index in range(1000))
    return ImageDataset("photographs", names, {"train": size}, read, decode), decoded


def seconds_of(stream: tf.data.Dataset, *, elements: int, done: Callable[[], int]) -> Seconds:
    """Reads some elements of an endless stream, after a first one, and returns the time for each image.

    Args:
        stream: Endless.
        elements: How many are read.
        done: Counts the images so far that time was spent on. These are not those that were read: a pipeline works
            ahead, and what lay ready when the clock was started would seem to cost nothing.
    """
    iterator = iter(stream)
    next(iterator)
    before, processor, clock = done(), time.process_time(), time.perf_counter()
    for _ in range(elements):
        next(iterator)
    processor, clock = time.process_time() - processor, time.perf_counter() - clock
    images = done() - before
    return Seconds(processor / images, clock / images)


def in_turn(measures: Mapping[str, Callable[[], Seconds]], rounds: int) -> dict[str, Seconds]:
    """Returns the medians over some rounds of measuring everything in turn."""
    taken: dict[str, list[Seconds]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            taken[name].append(measure())
    return {name: Seconds(*map(statistics.median, zip(*each, strict=True))) for name, each in taken.items()}


def measure_pipeline(encoded: list[bytes], *, batches: int, rounds: int) -> dict[str, Seconds]:
    """Returns the seconds of an image through `training_batches`, with each augmentation."""
    dataset, decoded = dataset_of(encoded, 4 * len(encoded))

    def measure(**options: Any) -> Seconds:
        mixing = {name: value for name, value in options.items() if name.endswith("_alpha")}
        views = {name: value for name, value in options.items() if name not in mixing}
        stream = training_batches(
            dataset,
            "train",
            batch_size=BATCH,
            resolution=RESOLUTION,
            augmentation=Augmentation("random_resized_crop", flip=True, **views),
            mixing=Mixing(len(dataset.class_names), **mixing),
            seed=0,
        )
        return seconds_of(stream, elements=batches, done=lambda: int(decoded.numpy()))

    return in_turn({name: partial(measure, **options) for name, options in SETTINGS.items()}, rounds)


def measure_stages(encoded: list[bytes], *, batches: int, rounds: int) -> dict[str, float]:
    """Returns the processor seconds of each stage for an image: what it takes more to go one stage further."""
    stages, of = _stages(), partial(_stage_seconds, encoded, batches=batches)
    single = {name: partial(of, stage) for name, stage in stages.items()}
    batched = {f"{name} in batches": partial(of, stages[name], batch=True) for name in ("read", "flip")}
    taken = {name: seconds.processor for name, seconds in in_turn({**single, **batched}, rounds).items()}
    # To fetch images one by one costs more than to fetch batches: as much as for strings, which cost nothing to batch.
    fetching = taken["read"] - taken["read in batches"]
    return {
        "read": taken["read in batches"],
        "decode": taken["decode"] - taken["read"],
        "crop": taken["crop"] - taken["decode"],
        "resize": taken["resize"] - taken["crop"],
        "flip": taken["flip"] - taken["resize"],
        "batch": taken["flip in batches"] - (taken["flip"] - fetching),
        "all of these": taken["flip in batches"],
        "(resize by tf.image.resize)": taken["resize by tf.image.resize"] - taken["crop"],
        "(decode and crop, fused)": taken["crop by decode_and_crop_jpeg"] - taken["read"],
    }


def _stages() -> dict[str, Stage]:
    """Returns the ways of an image as far as each stage, and beside them what they could be replaced by."""
    side = (RESOLUTION, RESOLUTION)
    view = Augmentation("random_resized_crop", flip=True)

    def crop(record: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        image = decode_stored(record)
        return tf.slice(image, *random_window(tf.shape(image), seed, CROP_SCALE))

    def fused_crop(record: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        begin, size = random_window(tf.image.extract_jpeg_shape(record), seed, CROP_SCALE)
        return tf.image.decode_and_crop_jpeg(record, tf.concat([begin[:2], size[:2]], 0), channels=3)

    return {
        "read": lambda record, seed: record,
        "decode": lambda record, seed: decode_stored(record),
        "crop": crop,
        "resize": lambda record, seed: stretch(crop(record, seed), side),
        "flip": lambda record, seed: view.view(decode_stored(record), seed, resolution=RESOLUTION),
        "resize by tf.image.resize": lambda record, seed: tf.image.resize(crop(record, seed), side, antialias=True),
        "crop by decode_and_crop_jpeg": fused_crop,
    }


def _stage_seconds(encoded: list[bytes], stage: Stage, *, batches: int, batch: bool = False) -> Seconds:
    """Times a stage, on one thread."""
    done = itertools.count()

    def run(index: tf.Tensor, record: tf.Tensor) -> tf.Tensor:
        result = stage(record, tf.stack([0, index]))
        # What is measured one by one need not leave the pipeline as a whole.
        return result if batch else tf.reshape(result, [-1])[0]

    mapped = tf.data.Dataset.from_tensor_slices(encoded).repeat().enumerate().map(run)
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    # One after the other and nothing ahead: what is read is what time was spent on.
    options.autotune.enabled = False
    options.experimental_optimization.inject_prefetch = False
    stream = (mapped.batch(BATCH, drop_remainder=True) if batch else mapped).with_options(options)
    elements = batches if batch else batches * BATCH
    return seconds_of(stream, elements=elements, done=lambda: next(done) * batches * BATCH)


def images_a_gpu_wants() -> float:
    """Derives how many images a second an H100 can train on, at most: such networks are bound by its memory."""
    network = models.load("mobilenet_v2", classes=1000, width_multiplier=1.5)
    sized = keras.models.clone_model(network, input_tensors=keras.Input((RESOLUTION, RESOLUTION, 3)))
    activations = sum(
        np.prod(layer.output.shape[1:])
        for layer in sized.layers
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D))
    )
    in_a_sandwich = float(activations) * SANDWICH_MACS / WHOLE_MACS
    return H100_BYTES_PER_SECOND / (in_a_sandwich * BYTES_PER_ACTIVATION)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer images, rougher numbers")
    quick = parser.parse_args().quick
    amount = {"batches": 4, "rounds": 2} if quick else {"batches": 8, "rounds": 5}
    encoded = photographs(PHOTOGRAPHS)
    rows: list[tuple[str, float, str]] = [
        ("photograph", float(np.mean([len(each) for each in encoded])) / 1000, "kB"),
        ("cores", float(len(os.sched_getaffinity(0))), "cores"),
        ("TF_NUM_INTRAOP_THREADS", float(os.environ["TF_NUM_INTRAOP_THREADS"]), "threads"),
    ]
    stages = measure_stages(encoded, **amount)
    rows += [(f"stage: {name}", 1000 * seconds, "ms/image") for name, seconds in stages.items()]
    speeds = measure_pipeline(encoded, **amount)
    rows += [(name, 1 / seconds.processor, "images/s/core") for name, seconds in speeds.items()]
    rows.append(("load of this machine", os.getloadavg()[0], "processes"))
    rows.append(("crop and flip, all cores by the clock", 1 / speeds["crop and flip"].clock, "images/s"))
    wanted = images_a_gpu_wants()
    rows.append(("an H100 wants at most (derived)", wanted, "images/s"))
    rows.append(("cores for an H100 (derived)", wanted * speeds["crop and flip"].processor, "cores"))
    table = Table("what", "value", "unit", title="Input pipeline: 500 x 375 JPEG to 224 x 224")
    for name, value, unit in rows:
        table.add_row(name, f"{value:,.3f}" if value < 10 else f"{value:,.0f}", unit)
    Console().print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    listed = [{"name": name, "value": round(value, 4), "unit": unit} for name, value, unit in rows]
    RESULTS.write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
