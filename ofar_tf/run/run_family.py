"""The family of a finished run, which has images and a table of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ofar_tf.evaluation.pool_evaluation import PoolEvaluation
from ofar_tf.family.export_spec import ExportSpec
from ofar_tf.family.family_export import FamilyExport, export_pool
from ofar_tf.family.family_folder import FamilyFolder
from ofar_tf.family.manifest import ManifestHeader
from ofar_tf.family.report.search_record import SearchRecord, read_similarity, recorded_masks
from ofar_tf.run.environment import git_commit, versions
from ofar_tf.run.finished_run import FinishedRun
from ofar_tf.run.trained_family import Family, export_options


def search_record(run: FinishedRun) -> SearchRecord:
    """Reads what the search of a run found.

    Raises:
        ValueError: If its table is none.
    """
    path = run.run_dir.path / "similarity.csv"
    return SearchRecord(run.pool, read_similarity(path, recorded_masks(run.run_dir.checkpoints)))


def export_run(
    run: FinishedRun, chosen: PoolEvaluation, *, folder: FamilyFolder, spec: ExportSpec, search: SearchRecord
) -> FamilyExport:
    """Exports networks of a finished run, with the run's own images.

    Args:
        run: The run.
        chosen: The structures and resolutions wanted, as they were evaluated.
        folder: Where to, not yet entered.
        spec: Which files.
        search: What `search_record` read.

    Returns:
        The manifest, and what failed.
    """
    with folder, run.experiment.images.reading():
        return export_pool(
            run.trained_pool,
            chosen,
            folder=folder,
            labels=run.class_names,
            header=ManifestHeader.now(versions=versions(), git=git_commit(), dataset=run.dataset, seed=run.config.seed),
            images=run.images,
            spec=spec,
            search=search,
        )


class RunFamily(Family):
    """The family of a finished run.

    Args:
        run: The run.
    """

    def __init__(self, run: FinishedRun):
        super().__init__(run.trained_pool, class_names=run.class_names, path=run.run_dir.path)
        self._run = run

    @property
    def table(self) -> PoolEvaluation:
        """See `Family`: what `ofar evaluate` wrote."""
        return self._run.evaluated()

    def evaluate(self, validation: Any = None, **given: Any) -> PoolEvaluation:
        """See `Family`: as `ofar evaluate` does, with the run's own images."""
        _refuse_images(validation=validation, **given)
        return self._run.evaluate()

    def export(
        self,
        export_dir: str | Path,
        *,
        labels: Sequence[str] = (),
        only: str = "pareto",
        overwrite: bool = False,
        **options: Any,
    ) -> FamilyExport:
        """See `Family`: as `ofar export` does, with the run's own images and class names."""
        images = {name: options.pop(name, None) for name in ("validation", "calibration", "selection")}
        _refuse_images(**images)
        if labels and tuple(labels) != self.class_names:
            raise ValueError(f"Expected the class names of the run, or none. Received: {list(labels)!r:.200}.")
        spec = export_options(options)
        chosen, search = self.table.chosen(only), search_record(self._run)
        folder = FamilyFolder(export_dir, training=self._trained.training, overwrite=overwrite)
        return export_run(self._run, chosen, folder=folder, spec=spec, search=search)


def _refuse_images(**given: Any) -> None:
    names = [name for name, value in given.items() if value is not None]
    if names:
        raise ValueError(f"Expected no images: a run has its own. Received: {', '.join(names)}.")
