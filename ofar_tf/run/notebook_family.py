"""A family that was trained in a notebook or program and saved by `OnceForAll.save`: its images are given."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from ofar_tf.data.batch_contract import explained
from ofar_tf.data.class_names import names_in_order
from ofar_tf.evaluation.pool_evaluation import PoolEvaluation, read_evaluation, write_evaluation
from ofar_tf.evaluation.trained_pool import TrainedPool
from ofar_tf.family.export_spec import ExportSpec
from ofar_tf.family.family_export import FamilyExport, export_pool
from ofar_tf.family.family_folder import FamilyFolder
from ofar_tf.family.manifest import ManifestHeader
from ofar_tf.models.shared_code import shared_code
from ofar_tf.run.environment import git_commit, versions
from ofar_tf.run.given_images import NO_IMAGES, GivenImages, described, required
from ofar_tf.run.steady_order import in_one_order
from ofar_tf.run.trained_family import Family, export_options
from ofar_tf.tasks.classification.task import Classification
from ofar_tf.training.saved_family import FamilyFiles, read_family

_EVALUATE = "evaluate(validation, calibration=train)"


def export_given(
    trained: TrainedPool,
    chosen: PoolEvaluation,
    *,
    export_dir: str | Path,
    images: GivenImages,
    labels: Sequence[str],
    spec: ExportSpec,
    seed: int,
    table: PoolEvaluation | None = None,
    overwrite: bool = False,
) -> FamilyExport:
    """Exports networks with images that were given.

    Args:
        trained: The pool, with these images.
        chosen: The structures and resolutions wanted, as they were evaluated.
        export_dir: The folder to write to.
        images: What the files are made with and measured on.
        labels: The class names, in the order of the outputs.
        spec: Which files.
        seed: That of the training.
        table: What the networks were calibrated for, if that was before this call.
        overwrite: Whether files of another training may be replaced.

    Returns:
        The manifest, and what failed.

    Raises:
        ValueError: If an argument makes no sense, or the folder is in use.
    """
    folder = FamilyFolder(export_dir, training=trained.training, overwrite=overwrite)
    with folder, shared_code(trained.supernet), explained(), in_one_order(trained) as trained:
        dataset = described(trained, table)
        return export_pool(
            trained,
            chosen,
            folder=folder,
            labels=labels,
            header=ManifestHeader.now(versions=versions(), git=git_commit(), dataset=dataset, seed=seed),
            images=images.for_export(trained),
            spec=spec,
        )


class NotebookFamily(Family):
    """The family in a folder that `OnceForAll.save` wrote.

    Args:
        folder: The folder.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If a file is not as it was written.
    """

    def __init__(self, folder: str | Path):
        saved = read_family(folder)
        trained = TrainedPool(
            supernet=saved.supernet,
            groups=saved.groups,
            pool=saved.pool,
            resolutions=saved.resolutions,
            images=NO_IMAGES,
            task=Classification(classes=saved.supernet.output_shape[-1]),
            weights=saved.weights,
            predictor=saved.predictor,
        )
        super().__init__(trained, class_names=saved.labels, path=Path(folder))
        self._files = FamilyFiles(Path(folder))
        self._seed = saved.seed

    @property
    def table(self) -> PoolEvaluation:
        """See `Family`: what `evaluate` found."""
        if not self._files.subnets.is_file():
            raise FileNotFoundError(
                f"Expected a family that was measured, by {_EVALUATE}. Received: {self.path}, which was not."
            )
        return read_evaluation(
            self._files.evaluation,
            table=self._files.subnets,
            metric=self._trained.task.metric,
            origin=self._trained.training,
            again=_EVALUATE,
        )

    def evaluate(
        self,
        validation: tf.data.Dataset | None = None,
        *,
        calibration: tf.data.Dataset | None = None,
        selection: tf.data.Dataset | None = None,
        calibration_images: int = 2000,
    ) -> PoolEvaluation:
        """See `Family`."""
        images = required(validation, calibration, selection, calibration_images=calibration_images)
        with explained():
            evaluation = images.of(self._trained).evaluate()
        write_evaluation(self._files.evaluation, evaluation, table=self._files.subnets, origin=self._trained.training)
        return evaluation

    def export(
        self,
        export_dir: str | Path,
        *,
        validation: tf.data.Dataset | None = None,
        calibration: tf.data.Dataset | None = None,
        selection: tf.data.Dataset | None = None,
        labels: Sequence[str] = (),
        only: str = "pareto",
        overwrite: bool = False,
        **options: Any,
    ) -> FamilyExport:
        """See `Family`."""
        names = names_in_order(labels, classes=self._trained.supernet.output_shape[-1])
        images = required(validation, calibration, selection)
        spec, table = export_options(options), self.table
        return export_given(
            images.of(self._trained),
            table.chosen(only),
            export_dir=export_dir,
            images=images,
            labels=names or self.class_names,
            spec=spec,
            seed=self._seed,
            table=table,
            overwrite=overwrite,
        )
