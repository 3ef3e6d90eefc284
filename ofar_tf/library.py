"""Evaluation and export of a trained `OnceForAll` model, for notebooks and programs that use no command line."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf

from ofar_tf.conversion.keras_file import model_digest
from ofar_tf.conversion.quantization_aware.fine_tuning import FineTuning
from ofar_tf.conversion.stock_networks import family_members
from ofar_tf.data import resize_batch
from ofar_tf.evaluation.pool_accuracy import PoolImages
from ofar_tf.evaluation.subnet_table import SubnetRow
from ofar_tf.evaluation.trained_pool import TrainedPool
from ofar_tf.family.family_export import FamilyExport
from ofar_tf.family.family_export import export_family as export_members
from ofar_tf.family.manifest import ManifestHeader
from ofar_tf.family.report.search_record import SearchRecord
from ofar_tf.run.environment import git_commit, versions
from ofar_tf.tflite.metadata import Credits
from ofar_tf.training.once_for_all import OnceForAll


def evaluate_pool(
    model: OnceForAll, validation: tf.data.Dataset, *, calibration: tf.data.Dataset, calibration_images: int = 2000
) -> list[SubnetRow]:
    """Calibrates and measures every structure of a pool at every resolution.

    Args:
        model: A model whose structures are frozen, by `MaskSearch`.
        validation: Finite batches of images float32 `[B, R, R, 3]` at the largest resolution, 0..255, and labels int
            `[B]`. The devices of the model's strategy take one batch each at a time; of several processes, each gives
            batches of its own.
        calibration: Batches in the same form, normally of the training images; may be endless.
        calibration_images: How many of its images are used, at least 1; by each process.

    Returns:
        One row per structure and resolution, largest structure first.

    Raises:
        ValueError: If the structures are not frozen yet.
    """
    return _trained_pool(model, validation, calibration, images=calibration_images).evaluate()


def export_family(
    model: OnceForAll,
    export_dir: str | Path,
    *,
    validation: tf.data.Dataset,
    calibration: tf.data.Dataset,
    labels: Sequence[str],
    precisions: Sequence[str] = ("float32", "int8"),
    only: str = "pareto",
    calibration_images: int = 2000,
    representative_images: int = 200,
    fine_tuning: FineTuning | None = None,
    fine_tuning_images: int = 2000,
    credits: Credits | None = None,
    workers: int = 2,
    latency_threads: int = 1,
) -> FamilyExport:
    """Writes the TFLite files of a trained pool, each one checked.

    Args:
        model: A model whose structures are frozen.
        export_dir: The folder to write to.
        validation: As in `evaluate_pool`.
        calibration: As in `evaluate_pool`; also sets the ranges of quantized files.
        labels: The class names, in the order of the logits.
        precisions: Kinds of files, see `ofar_tf.conversion.precision.PRECISIONS`.
        only: `pareto` for the networks that no other beats, or `all`.
        calibration_images: Images that calibrate BatchNorm.
        representative_images: Images that set the ranges of quantized files.
        fine_tuning: How `qat` files learn; `None` for the defaults.
        fine_tuning_images: Images of `calibration` that `qat` files learn from.
        credits: What every file says about its makers and its licence.
        workers: Conversions at once.
        latency_threads: How many threads each file is timed with on this machine; 0 to time none.

    Returns:
        The manifest, and what failed.

    Raises:
        ValueError: If the structures are not frozen yet, or an argument makes no sense.
    """
    if only not in ("pareto", "all"):
        raise ValueError(f"Expected only='pareto' or 'all'. Received: only={only!r}.")
    pool = _trained_pool(model, validation, calibration, images=calibration_images)
    rows = [row for row in pool.evaluate() if row.pareto or only == "all"]

    def evaluation_batches(resolution: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return ((np.asarray(resize_batch(images, resolution)), np.asarray(truth)) for images, truth in validation)

    def images_at(resolution: int, *, images: int) -> np.ndarray:
        batches = _first(calibration, images=images)
        return np.concatenate([np.asarray(resize_batch(pictures, resolution)) for pictures, _ in batches])

    origin = model_digest(model.supernet)
    return export_members(
        family_members(pool, rows),
        export_dir=export_dir,
        labels=labels,
        header=ManifestHeader.now(
            versions=versions(),
            git=git_commit(),
            dataset={"name": "given as tf.data", "images": rows[0].scores.images, "origin": origin},
            seed=model.seed,
        ),
        evaluation_batches=evaluation_batches,
        representative_images=partial(images_at, images=representative_images),
        precisions=precisions,
        fine_tuning=fine_tuning or FineTuning(seed=model.seed),
        fine_tuning_images=partial(images_at, images=fine_tuning_images),
        credits=credits,
        search=SearchRecord(pool.pool),
        workers=workers,
        latency_threads=latency_threads,
    )


def _trained_pool(
    model: OnceForAll, validation: tf.data.Dataset, calibration: tf.data.Dataset, *, images: int
) -> TrainedPool:
    if model.pool is None:
        raise ValueError(
            "Expected a model whose structures are frozen: train it with MaskSearch among the callbacks. "
            "Received: a model without a pool."
        )
    pool_images = PoolImages(calibration=lambda: _first(calibration, images=images), evaluation=lambda: validation)
    return TrainedPool(
        model.supernet,
        model.groups,
        model.pool,
        model.resolutions,
        pool_images,
        model.task,
        model.pool_weights,
        model.distribute_strategy,
    )


def _first(batches: tf.data.Dataset, *, images: int) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """Yields batches until they hold so many images, the last one cut."""
    for pictures, labels in batches:
        yield pictures[:images], labels[:images]
        images -= min(images, len(pictures))
        if images == 0:
            return
