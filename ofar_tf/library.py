"""What notebooks and programs call that use no command line: a trained model measured, exported, kept and loaded."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras
import tensorflow as tf

from ofar_tf.conversion.precision import DEFAULT_ALGORITHM
from ofar_tf.conversion.quantization_aware.fine_tuning import FineTuning
from ofar_tf.data.batch_contract import explained
from ofar_tf.data.class_names import names_in_order
from ofar_tf.evaluation.pool_evaluation import PoolEvaluation, check_only
from ofar_tf.evaluation.trained_pool import TrainedPool
from ofar_tf.family.export_spec import ExportSpec
from ofar_tf.family.family_export import FamilyExport
from ofar_tf.files.given_path import given_path
from ofar_tf.models.user_model import as_supernet
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.explanation import Explanation
from ofar_tf.pruning.explanation import explain as explain_found
from ofar_tf.run.finished_run import FinishedRun
from ofar_tf.run.given_images import NO_IMAGES, GivenImages
from ofar_tf.run.notebook_family import NotebookFamily, export_given
from ofar_tf.run.run_dir import RunDir
from ofar_tf.run.run_facts import read_facts
from ofar_tf.run.run_family import RunFamily
from ofar_tf.run.trained_family import Family
from ofar_tf.tasks.classification.task import Classification
from ofar_tf.tflite.metadata import Credits
from ofar_tf.training.once_for_all import OnceForAll
from ofar_tf.training.saved_family import FamilyFiles


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
    images = GivenImages(validation, calibration, selection, calibration_images)
    trained = images.of(_trained_pool(model))
    with explained():
        return replace(trained.evaluate(), networks=trained.training)


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
    mixed_algorithm: str = DEFAULT_ALGORITHM,
    overwrite: bool = False,
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
        mixed_algorithm: How `mixed` files round weights, see `ofar_tf.conversion.precision.ALGORITHMS`.
        overwrite: Whether files of another training that are in the folder may be replaced.

    Returns:
        The manifest, and what failed.

    Raises:
        ValueError: If the structures are not frozen yet, the table is that of other networks, or an argument makes no
            sense.
    """
    check_only(only)
    labels = names_in_order(labels, classes=model.task.classes if isinstance(model.task, Classification) else None)
    spec = ExportSpec(
        precisions=precisions,
        representative_images=representative_images,
        fine_tuning=fine_tuning or FineTuning(seed=model.seed),
        fine_tuning_images=fine_tuning_images,
        credits=credits or Credits(),
        workers=workers,
        latency_threads=latency_threads,
        mixed_algorithm=mixed_algorithm,
    )
    images = GivenImages(validation, calibration, selection, calibration_images)
    trained = images.of(_trained_pool(model))
    if table is not None and table.networks != trained.training:
        raise ValueError("Expected the table of evaluate_pool for this model as it is now. Received: that of another.")
    with explained():
        measured = table or trained.evaluate()
    return export_given(
        trained,
        measured.chosen(only),
        export_dir=export_dir,
        images=images,
        labels=labels,
        spec=spec,
        seed=model.seed,
        table=table,
        overwrite=overwrite,
    )


def load(folder: str | Path, *, data_dir: str | Path | None = None, trusted: bool = False) -> Family:
    """Loads a trained family: that of a finished run, or one that `OnceForAll.save` wrote.

    Nothing is executed that the folder holds or names, unless it is trusted.

    Args:
        folder: A run directory, or the folder that was given to `OnceForAll.save`.
        data_dir: Where the data set of a run lies now, if it has moved.
        trusted: Whether the modules of yours that a run remembers may be imported, and Lambda layers read, as the
            commands do.

    Returns:
        The family.

    Raises:
        FileNotFoundError: If there is neither.
        ValueError: If a file is damaged, the data set of a run is not there, or the run needs code and is not trusted.
    """
    path = given_path(folder).absolute()
    if FamilyFiles(path).description.is_file():
        if data_dir is not None:
            raise ValueError("Expected no data_dir: a saved family has no data set. Received: one.")
        return NotebookFamily(path)
    if not (path / "config.json").is_file():
        raise FileNotFoundError(
            "Expected the folder of a finished run, or one that OnceForAll.save wrote. "
            f"Received: {path}, which has neither config.json nor family.json."
        )
    facts = read_facts(RunDir(path).facts)
    if facts is not None and not trusted and (facts.user_modules.modules or facts.user_modules.lambdas):
        names = ", ".join(module.name for module in facts.user_modules.modules)
        raise ValueError(
            f"Expected trusted=True to import {names or 'the code in Lambda layers'}, which the network of {path} "
            "needs. Received: trusted=False."
        )
    return RunFamily(FinishedRun(str(path), data_dir=None if data_dir is None else str(data_dir)))


def explain(
    model: keras.Model | OnceForAll,
    *,
    resolution: int | tuple[int, int],
    prune_residual_stream: bool = False,
) -> Explanation:
    """Says which channels of a network can be pruned, what keeps the rest, and why.

    Args:
        model: Any functional Keras model, one whose `call` can be opened, or an `OnceForAll`.
        resolution: Where multiply-adds are counted: the side of a square in pixels, or height and width.
        prune_residual_stream: Whether sums and linear bottlenecks may be pruned (DESIGN D10); for an `OnceForAll` this
            is its pool's.

    Returns:
        What `print` and notebooks show as tables.

    Raises:
        ValueError: If the model cannot be pruned at all.
    """
    if isinstance(model, OnceForAll):
        return explain_found(model.groups, resolution=resolution)
    supernet = as_supernet(model, reference="the model")
    groups = find_channel_groups(supernet, prune_residual_stream=prune_residual_stream)
    return explain_found(groups, resolution=resolution)


def _trained_pool(model: OnceForAll) -> TrainedPool:
    return TrainedPool(
        supernet=model.supernet,
        groups=model.groups,
        pool=model.frozen_pool,
        resolutions=model.resolutions,
        images=NO_IMAGES,
        task=model.task,
        weights=model.pool_weights,
        strategy=model.distribute_strategy,
        predictor=model.spec.predictor,
    )
