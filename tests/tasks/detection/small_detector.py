"""A detector that needs no training: pooled maps, and heads of one kernel each, named as in `models.detector`."""

from dataclasses import replace

import keras
import numpy as np

from ofar_tf.conversion.jobs import ConversionJob
from ofar_tf.conversion.open_network import open_network
from ofar_tf.conversion.precision import precision_named
from ofar_tf.conversion.worker import run_jobs
from ofar_tf.tasks.detection.task import Detection
from ofar_tf.text.size import Size
from ofar_tf.tflite.metadata import FileMetadata

HEIGHT, WIDTH, NAMES = 64, 96, ("cat", "dog", "über")
CANVAS = Size(96, 128)
TASK = Detection(len(NAMES))


def build():
    keras.utils.set_random_seed(3)
    layers = keras.layers
    image = keras.Input((HEIGHT, WIDTH, 3))
    stem = layers.Conv2D(6, 3, padding="same", activation="relu", name="stem")(layers.Rescaling(1 / 64)(image))
    outputs = {}
    for kind, width, bias in (("classes", len(NAMES), -5.0), ("boxes", 4, 0.0)):
        last = layers.Conv2D(
            9 * width,
            1,
            name=f"detector_{kind}_last",
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.7 if kind == "classes" else 0.2),
            bias_initializer=keras.initializers.Constant(bias),
        )
        maps = [layers.AveragePooling2D(2**level, padding="same")(stem) for level in range(3, 8)]
        flat = [layers.Reshape((-1, width))(last(each)) for each in maps]
        outputs[kind] = layers.Concatenate(axis=1, name=f"detector_{kind}")(flat)
    return keras.Model(image, TASK.shipped(outputs), name="detector")


def make_pictures(count=4):
    """Blocks of plain colours, uint8 `[N, HEIGHT, WIDTH, 3]`."""
    blocks = np.random.default_rng(0).integers(0, 256, (count, HEIGHT // 16, WIDTH // 16, 3))
    return blocks.repeat(16, axis=1).repeat(16, axis=2).astype(np.uint8)


def write_files(folder, kinds):
    """Converts the detector; returns it, and the files by precision and form."""
    network = build()
    network.save(folder / "net.keras")
    np.save(folder / "images.npy", make_pictures().astype(np.float32))
    jobs = [
        ConversionJob(
            folder / "net.keras",
            folder / f"{precision}_{form}.tflite",
            precision,
            folder / "images.npy" if precision_named(precision).calibrated else None,
            metadata=FileMetadata(name="net", labels=NAMES, detector=replace(TASK.metadata(form), canvas=CANVAS)),
            float_outputs=True,
            float_layers=TASK.float_layers,
            ending=TASK.ending(form),
        )
        for precision, form in kinds
    ]
    assert list(run_jobs(jobs, open_network)) == [None] * len(jobs)
    return network, {kind: job.tflite_path for kind, job in zip(kinds, jobs, strict=True)}
