"""How many images a second the training pipeline gives for each processor core, and where the time goes.

python benchmarks/input_pipeline.py [--quick]

Photographs of ImageNet's statistics (500 x 375 pixels, JPEGs of about 110 kB) are made from noise at many scales and
kept in memory, so that reading from disk, which differs from machine to machine, is not measured. Speeds are images per
second of processor time, summed over all threads: other programs on the machine slow it less than they slow a clock.

Prints a table and writes results/input_pipeline.json beside this file.
"""

import argparse
import json
import os
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
from ofar_tf.data.image_dataset import decode_image_file
from ofar_tf.data.preprocessing import stretch

Stream = Callable[[], tf.data.Dataset]


class Seconds(NamedTuple):
    """Time for one image, of all processors together and by the clock."""

    processor: float
    clock: float


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


def dataset_of(encoded: list[bytes], size: int) -> ImageDataset:
    def read(split: str, start: int, stop: int) -> tf.data.Dataset:
        whole = tf.data.Dataset.from_tensor_slices(encoded).repeat(-(-size // len(encoded)))
        return whole.skip(start).take(stop - start).map(lambda record: (record, tf.constant(0, tf.int64)))

    names = tuple(f"class {index}" for index in range(1000))
    return ImageDataset("photographs", names, {"train": size}, read, decode_image_file)


def least_seconds(streams: Mapping[str, Stream], *, elements: int, warm: int, rounds: int) -> dict[str, Seconds]:
    """Reads some elements of each stream, all streams in turn, and does so in several rounds.

    Args:
        streams: What makes each stream.
        elements: How many elements are timed.
        warm: How many are read before, so that what the pipeline prepares ahead is the same at both ends.
        rounds: How often.

    Returns:
        The least processor and clock seconds for an element of each stream.
    """
    taken: dict[str, list[Seconds]] = {name: [] for name in streams}
    for _ in range(rounds):
        for name, stream in streams.items():
            iterator = iter(stream())
            for _ in range(warm):
                next(iterator)
            processor, clock = time.process_time(), time.perf_counter()
            for _ in range(elements):
                next(iterator)
            passed = Seconds(time.process_time() - processor, time.perf_counter() - clock)
            taken[name].append(Seconds(passed.processor / elements, passed.clock / elements))
    return {name: Seconds(*map(min, zip(*each, strict=True))) for name, each in taken.items()}


def measure_pipeline(encoded: list[bytes], *, batches: int, rounds: int) -> dict[str, Seconds]:
    """Returns the seconds of an image through `training_batches`, with each augmentation."""
    dataset = dataset_of(encoded, 4 * len(encoded))

    def stream(**options: Any) -> tf.data.Dataset:
        return training_batches(
            dataset,
            "train",
            batch_size=BATCH,
            resolution=RESOLUTION,
            augmentation="random_resized_crop",
            flip=True,
            seed=0,
            **options,
        )

    streams = {name: partial(stream, **options) for name, options in SETTINGS.items()}
    taken = least_seconds(streams, elements=batches, warm=2, rounds=rounds)
    return {name: Seconds(seconds.processor / BATCH, seconds.clock / BATCH) for name, seconds in taken.items()}


def measure_stages(encoded: list[bytes], *, batches: int, rounds: int) -> dict[str, float]:
    """Returns the processor seconds of each stage: what the pipeline takes more when it goes one stage further."""
    side = (RESOLUTION, RESOLUTION)
    view = Augmentation("random_resized_crop", flip=True)

    def crop(record: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        image = decode_image_file(record)
        return tf.slice(image, *random_window(tf.shape(image), seed, CROP_SCALE))

    def fused_crop(record: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        begin, size = random_window(tf.image.extract_jpeg_shape(record), seed, CROP_SCALE)
        return tf.image.decode_and_crop_jpeg(record, tf.concat([begin[:2], size[:2]], 0), channels=3)

    stages: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
        "read": lambda record, seed: record,
        "decode": lambda record, seed: decode_image_file(record),
        "crop": crop,
        "resize": lambda record, seed: stretch(crop(record, seed), side),
        "flip": lambda record, seed: view.view(decode_image_file(record), seed, resolution=RESOLUTION),
        "resize by tf.image.resize": lambda record, seed: tf.image.resize(crop(record, seed), side, antialias=True),
        "crop by decode_and_crop_jpeg": fused_crop,
    }

    def stream(stage: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], *, batch: bool = False) -> tf.data.Dataset:
        source = tf.data.Dataset.from_tensor_slices(encoded).repeat().enumerate()
        mapped = source.map(lambda index, record: stage(record, tf.stack([0, index])))
        options = tf.data.Options()
        options.threading.private_threadpool_size = 1
        options.threading.max_intra_op_parallelism = 1
        return (mapped.batch(BATCH, drop_remainder=True) if batch else mapped).with_options(options)

    single = {name: partial(stream, stage) for name, stage in stages.items()}
    batched = {name: partial(stream, stages[name], batch=True) for name in ("read", "flip")}
    taken = {
        name: s.processor for name, s in least_seconds(single, elements=batches * BATCH, warm=1, rounds=rounds).items()
    }
    in_batches = {
        name: s.processor / BATCH for name, s in least_seconds(batched, elements=batches, warm=1, rounds=rounds).items()
    }
    # Counting single images costs time that counting batches does not; next to that, to batch strings costs nothing.
    counting = taken["read"] - in_batches["read"]
    return {
        "read": in_batches["read"],
        "decode": taken["decode"] - taken["read"],
        "crop": taken["crop"] - taken["decode"],
        "resize": taken["resize"] - taken["crop"],
        "flip": taken["flip"] - taken["resize"],
        "batch": in_batches["flip"] - taken["flip"] + counting,
        "(resize by tf.image.resize)": taken["resize by tf.image.resize"] - taken["crop"],
        "(decode and crop, fused)": taken["crop by decode_and_crop_jpeg"] - taken["read"],
    }


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
    amount = {"batches": 4, "rounds": 2} if quick else {"batches": 6, "rounds": 10}
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
