"""The export of a whole family: one call, resumable, and no file unchecked.

Five stages: the networks are saved, converted, checked, timed, and described. Each is converted as soon as it is saved,
in other processes, and checked here while others are converted; then all are timed, when nothing else runs. What the
first four find is remembered beside the files (`ofar_tf.files.finished_work.Work`), so the same call continues an
export that was killed and repeats nothing whose inputs are the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from ofar_tf.conversion.images import FamilyImages
from ofar_tf.conversion.jobs import ConversionResult
from ofar_tf.conversion.member import FamilyMember
from ofar_tf.conversion.stock_networks import family_members
from ofar_tf.devices.full_float32 import full_float32
from ofar_tf.evaluation.pareto import pareto_front
from ofar_tf.evaluation.pool_evaluation import PoolEvaluation
from ofar_tf.evaluation.trained_pool import TrainedPool
from ofar_tf.family.documents import describe
from ofar_tf.family.export_spec import ExportSpec
from ofar_tf.family.family_folder import FamilyFolder
from ofar_tf.family.manifest import Manifest, ManifestHeader, ModelEntry
from ofar_tf.family.report.search_record import SearchRecord
from ofar_tf.family.stages import Stages
from ofar_tf.tasks.interface import Shipped
from ofar_tf.text.progress import WorkProgress


@dataclass(frozen=True)
class FamilyExport:
    """How an export ended.

    Attributes:
        manifest: The files that were written, those that failed a check included, and those of an earlier export that
            still hold.
        failures: What went wrong, one line for each file; empty where every file that was asked for is there and
            passed.
        warnings: What is not known of files that passed, one line for each: that there are too few images to tell; and
            which files of an earlier export are not among these any more.
    """

    manifest: Manifest
    failures: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def export_pool(
    trained: TrainedPool,
    chosen: PoolEvaluation,
    *,
    folder: FamilyFolder,
    labels: Sequence[str],
    header: ManifestHeader,
    images: FamilyImages,
    spec: ExportSpec,
    search: SearchRecord | None = None,
    console: Console | None = None,
) -> FamilyExport:
    """Exports networks of a trained pool: what the command and the library both call.

    Args:
        trained: The pool.
        chosen: The structures and resolutions wanted, as they were evaluated.
        folder: Where to.
        labels: The K class names, in the order of the logits.
        header: How the networks were made; its dataset has the pool's `origin`, see `family_members`.
        images: What files are made with and measured on.
        spec: Which files.
        search: What the structure search found, for the report.
        console: Where progress is shown; None for standard output.

    Returns:
        The manifest and what failed.

    Raises:
        ValueError: If labels make no sense.
    """
    members = family_members(trained, chosen, origin=header.dataset["origin"])
    return export_family(
        members,
        task=trained.task,
        folder=folder,
        labels=labels,
        header=header,
        images=images,
        spec=spec,
        search=search or SearchRecord(trained.pool),
        console=console,
    )


@full_float32()
def export_family(
    members: Sequence[FamilyMember],
    *,
    task: Shipped,
    folder: FamilyFolder,
    labels: Sequence[str],
    header: ManifestHeader,
    images: FamilyImages,
    spec: ExportSpec,
    search: SearchRecord | None = None,
    console: Console | None = None,
) -> FamilyExport:
    """Writes, converts, checks and measures every member in every precision.

    The folder gets `<id>/<id>.keras`, `<id>/<id>_<precision>.tflite`, and the documents of
    `ofar_tf.family.documents.describe`, `manifest.json` last: a folder without it is unfinished. Files of an earlier
    export stay in the manifest while they are unchanged.

    Args:
        members: The networks, with different ids.
        task: What they learned.
        folder: Where to.
        labels: The K class names, in the order of the outputs; none for tasks without classes.
        header: How the networks were made, for the manifest. If its dataset or versions change, all is measured again.
        images: What files are made with and measured on.
        spec: Which files.
        search: What the structure search found, for the report; None where it is not known.
        console: Where progress is shown; None for standard output.

    Returns:
        The manifest and what failed. A file that fails is a result, not an exception.

    Raises:
        ValueError: If members or labels make no sense, or a model is not of the shape its member promises.
    """
    labels = labels if task.has_classes else ()
    _check_members(members, labels=labels, has_classes=task.has_classes)
    header = replace(header, task=task.name, metric=task.metric)
    spec.check_task(task)
    stages = Stages(members, task=task, folder=folder, labels=labels, header=header, images=images, spec=spec)
    previous = folder.begin(header)
    steps = 3 if spec.latency_threads else 2
    with WorkProgress(len(members) * (1 + steps * len(stages.kinds)), console=console) as progress:
        results, entries = stages.make(progress)
        entries = stages.time(entries, progress)
    asked_for = {entry.path for entry in entries}
    kept = [entry for entry in previous if entry.path not in asked_for]
    manifest = Manifest(**vars(header), models=_with_pareto([*entries, *kept]))
    describe(folder, manifest, task=task, labels=labels, images=images, report_images=spec.report_images, search=search)
    unsure = [f"{Path(entry.path).stem}: {entry.checks.warning}" for entry in entries if entry.checks.warning]
    failures = tuple(_failures(results, entries, folder.strangers(manifest)))
    return FamilyExport(manifest, failures, (*unsure, *folder.left_out(manifest)))


def _check_members(members: Sequence[FamilyMember], *, labels: Sequence[str], has_classes: bool) -> None:
    ids = [member.id for member in members]
    if not ids or len(set(ids)) < len(ids):
        raise ValueError(f"Expected at least one member and no id twice. Received: {ids}.")
    if has_classes != bool(labels) or any(not label.strip() or len(label.splitlines()) != 1 for label in labels):
        raise ValueError(f"Expected class names of one line each. Received: {list(labels)!r:.200}.")


def _with_pareto(entries: Sequence[ModelEntry]) -> tuple[ModelEntry, ...]:
    """Marks the front among the passing files of each variant, and sorts the largest first."""
    chosen: set[str] = set()
    for variant in {entry.variant for entry in entries}:
        passed = [entry for entry in entries if entry.variant == variant and entry.checks.passed]
        front = pareto_front(passed, noise=[entry.choice_noise for entry in passed])
        chosen.update(entry.path for entry, is_best in zip(passed, front, strict=True) if is_best)
    marked = [replace(entry, pareto=entry.path in chosen) for entry in entries]
    return tuple(sorted(marked, key=lambda entry: (-entry.macs, entry.id, -entry.bytes)))


def _failures(
    results: Sequence[ConversionResult], entries: Sequence[ModelEntry], strangers: Iterator[str]
) -> Iterator[str]:
    """Says what went wrong with the files that were asked for; those of an earlier export are not this one's."""
    yield from (f"{result.job.tflite_path.stem}: {result.error}" for result in results if result.error)
    failed = (entry for entry in entries if not entry.checks.passed)
    yield from (f"{Path(entry.path).stem}: {' '.join(entry.checks.reasons)}" for entry in failed)
    yield from (f"{where}: the file that was measured is no longer in the export" for where in strangers)
