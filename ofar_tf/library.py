"""Evaluation and export of a trained `OnceForAll` model, for notebooks and programs that use no command line."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ofar_tf.conversion.images import FamilyImages
from ofar_tf.conversion.keras_file import model_digest
from ofar_tf.conversion.quantization_aware.fine_tuning import FineTuning
from ofar_tf.data.batch_contract import explained
from ofar_tf.evaluation.pool_accuracy import PoolImages
from ofar_tf.evaluation.pool_evaluation import PoolEvaluation, content_digest
from ofar_tf.evaluation.trained_pool import TrainedPool
from ofar_tf.family.export_spec import ExportSpec
from ofar_tf.family.family_export import FamilyExport, export_pool
from ofar_tf.family.family_folder import FamilyFolder
from ofar_tf.family.manifest import ManifestHeader
from ofar_tf.run.environment import git_commit, versions
from ofar_tf.tflite.metadata import Credits
from ofar_tf.training.once_for_all import OnceForAll


def evaluate_pool(
    model: OnceForAll,
    validation: tf.data.Dataset,
    *,
    calibration: tf.data.Dataset,
    calibration_images: int = 2000,
    selection: tf.data.Dataset | None = None,
) -> PoolEvaluation:
    """Calibrates and measures every structure of a pool at every resolution.

    Args:
        model: A model whose structures are frozen, by `MaskSearch`.
        validation: Finite batches of images `[B, R, R, 3]` at the largest resolution, 0..255, and labels as `fit` takes
            them. The devices of the model's strategy take one batch each at a time; of several processes, each gives
            batches of its own.
        calibration: Batches in the same form, normally of the training images; may be endless.
        calibration_images: How many of its images are used, at least 1; by each process.
        selection: Batches as `validation`, of other images, that the front is chosen by; None for those of
            `validation`, whose figures then flatter what is chosen.

    Returns:
        One row per structure and resolution, largest structure first; `export_family` takes it as `table`.

    Raises:
        ValueError: If the structures are not frozen yet, or the data are not as the task takes them.
    """
    trained = _trained_pool(model, validation, calibration, images=calibration_images, selection=selection)
    with explained():
        return replace(trained.evaluate(), networks=_networks_digest(trained))


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
    selection: tf.data.Dataset | None = None,
    table: PoolEvaluation | None = None,
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
        selection: As in `evaluate_pool`; the files are chosen by it too.
        table: What `evaluate_pool` returned for this model, so that nothing is calibrated again and the front is the
            one that it shows; by default the networks are evaluated here.

    Returns:
        The manifest, and what failed.

    Raises:
        ValueError: If the structures are not frozen yet, the table is that of other networks, or an argument makes no
            sense.
    """
    if only not in ("pareto", "all"):
        raise ValueError(f"Expected only='pareto' or 'all'. Received: only={only!r}.")
    spec = ExportSpec(
        precisions=tuple(precisions),
        representative_images=representative_images,
        fine_tuning=fine_tuning or FineTuning(seed=model.seed),
        fine_tuning_images=fine_tuning_images,
        credits=credits or Credits(),
        workers=workers,
        latency_threads=latency_threads,
    )
    trained = _trained_pool(model, validation, calibration, images=calibration_images, selection=selection)
    if table is not None and table.networks != _networks_digest(trained):
        raise ValueError("Expected the table of evaluate_pool for this model as it is now. Received: that of another.")
    with FamilyFolder(export_dir) as folder, explained():
        dataset = _dataset(trained)
        evaluation = table if table is not None else trained.evaluate()
        return export_pool(
            trained,
            evaluation.of([row for row in evaluation.rows if row.pareto or only == "all"]),
            folder=folder,
            labels=labels,
            header=ManifestHeader.now(versions=versions(), git=git_commit(), dataset=dataset, seed=model.seed),
            images=FamilyImages.resized(
                evaluation=trained.images.evaluation,
                training=lambda images: _first(_checked(model, calibration), images=images),
                selection=trained.images.selection,
            ),
            spec=spec,
        )


def _dataset(trained: TrainedPool) -> dict[str, Any]:
    """Identifies what the networks are made from and measured on by its content: nothing else is known of it here."""
    parts = (_networks_digest(trained), content_digest(trained.images.calibration()))
    origin = hashlib.sha256(" ".join(parts).encode()).hexdigest()
    evaluation = content_digest(trained.images.evaluation())
    chosen_by = trained.images.selection
    selection = {"selection": content_digest(chosen_by())} if chosen_by else {}
    return {"name": "given as tf.data", "evaluation": evaluation, **selection, "origin": origin}


def _networks_digest(trained: TrainedPool) -> str:
    digest = hashlib.sha256(f"{model_digest(trained.supernet)} {trained.pool.to_json()}".encode())
    for variable in trained.weights.own if trained.weights else ():
        digest.update(np.ascontiguousarray(variable).tobytes())
    return digest.hexdigest()


def _checked(model: OnceForAll, batches: tf.data.Dataset) -> tf.data.Dataset:
    """Returns batches of images and labels in the one form that the task knows."""
    return model.task.checked(batches, model.resolutions[0]).map(lambda images, labels, *_: (images, labels))


def _trained_pool(
    model: OnceForAll,
    validation: tf.data.Dataset,
    calibration: tf.data.Dataset,
    *,
    images: int,
    selection: tf.data.Dataset | None = None,
) -> TrainedPool:
    if model.pool is None:
        raise ValueError(
            "Expected a model whose structures are frozen: train it with MaskSearch among the callbacks. "
            "Received: a model without a pool."
        )
    seen, judged = _checked(model, calibration), _checked(model, validation)
    chosen_by = _checked(model, selection) if selection is not None else None
    pool_images = PoolImages(
        calibration=lambda: _first(seen, images=images),
        evaluation=lambda: judged,
        selection=(lambda: chosen_by) if chosen_by is not None else None,
    )
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
