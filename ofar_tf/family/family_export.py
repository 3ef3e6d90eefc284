"""The export of a whole family: one call, resumable, and no file unchecked."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ofar_tf.checks.layer_error import worst_layers, write_layer_errors
from ofar_tf.checks.measurement import Measurer
from ofar_tf.conversion.images import ConversionImages, ImagesAt
from ofar_tf.conversion.jobs import ConversionJob, ConversionResult, convert_files
from ofar_tf.conversion.keras_file import save_once
from ofar_tf.conversion.member import FamilyMember
from ofar_tf.conversion.precision import precision_named
from ofar_tf.conversion.quantization_aware.fine_tuning import FineTuning
from ofar_tf.evaluation.network_parity import NetworkParity
from ofar_tf.evaluation.pareto import pareto_front
from ofar_tf.evaluation.pareto_figure import ParetoPoint, plot_pareto
from ofar_tf.family.file_list import write_file_list
from ofar_tf.family.manifest import Manifest, ManifestHeader, ModelEntry, read_manifest, write_manifest
from ofar_tf.family.model_card import write_model_card
from ofar_tf.family.phone_benchmark import write_phone_benchmark
from ofar_tf.family.phone_latency import PhoneLatency, split_by_fit, with_phone_latencies
from ofar_tf.family.report.report import write_report
from ofar_tf.family.report.search_record import SearchRecord
from ofar_tf.family.timing import time_files
from ofar_tf.files import atomic_file
from ofar_tf.tasks.classification.accuracy import Batches
from ofar_tf.text.quantities import format_quantity
from ofar_tf.tflite.classifier import TFLiteClassifier
from ofar_tf.tflite.metadata import LABELS_FILE, Credits, FileMetadata

_PREVIOUS = ".previous_manifest.json"
_WORST_LAYERS = 10


@dataclass(frozen=True)
class FamilyExport:
    """How an export ended.

    Attributes:
        manifest: The files that were written, those that failed a check included.
        failures: What went wrong, one line for each file; empty where every file that was asked for is there and
            passed.
    """

    manifest: Manifest
    failures: tuple[str, ...]


def export_family(
    members: Sequence[FamilyMember],
    *,
    export_dir: str | Path,
    labels: Sequence[str],
    header: ManifestHeader,
    evaluation_batches: Callable[[int], Batches],
    representative_images: ImagesAt | None = None,
    precisions: Sequence[str] = ("float32", "int8"),
    fine_tuning: FineTuning | None = None,
    fine_tuning_images: ImagesAt | None = None,
    credits: Credits | None = None,
    search: SearchRecord | None = None,
    workers: int = 2,
    latency_threads: int = 0,
    phone_latencies: Sequence[PhoneLatency] = (),
    console: Console | None = None,
) -> FamilyExport:
    """Writes, converts, checks and measures every member in every precision.

    The folder gets `<id>/<id>.keras`, `<id>/<id>_<precision>.tflite`, `labels.txt`, `README.md`, `pareto.png`,
    `report.html`, `files.csv`, `benchmark_on_phone.sh` and, last, `manifest.json`: a folder without it is unfinished.
    Hidden records beside the files say what is done, so the same call continues an export that was killed and repeats
    nothing whose inputs are the same. Files of an earlier export stay in the manifest while they are unchanged. Files
    of other names are left alone.

    Args:
        members: The networks, with different ids.
        export_dir: The folder, created where it is missing.
        labels: The K class names, in the order of the outputs.
        header: How the networks were made, for the manifest. If its dataset or versions change, all is measured again.
        evaluation_batches: Gives the evaluation images and labels at a resolution, from the start each time.
        representative_images: Gives real images [N, r, r, 3] at a resolution, values in 0..255, uint8 or float; for the
            calibrated precisions that are not fine-tuned.
        precisions: Keys of `ofar_tf.conversion.precision.PRECISIONS`.
        fine_tuning: How the fine-tuned precisions learn; None for the defaults.
        fine_tuning_images: Gives training images as `representative_images` does, rounded here to whole numbers; for
            the fine-tuned precisions.
        credits: What every file says about its makers and its licence.
        search: What the structure search found, for the report; None where it is not known.
        workers: How many conversions, and afterwards how many evaluation images, are run at once.
        latency_threads: How many threads each file is timed with on this machine, one file after the other; 0 to time
            none.
        phone_latencies: Measurements made elsewhere (`ofar_tf.family.phone_latency`).
        console: Where progress is shown; None for standard output.

    Returns:
        The manifest and what failed. A file that fails is a result, not an exception.

    Raises:
        ValueError: If members, labels or precisions make no sense, or a model is not of the shape its member promises.
    """
    images = ConversionImages(representative_images, fine_tuning_images)
    _refuse_nonsense(members, labels=labels, precisions=precisions, images=images)
    folder = Path(export_dir)
    folder.mkdir(parents=True, exist_ok=True)
    previous = _take_previous(folder, header)
    steps = 3 if latency_threads else 2
    with _ProgressBar(total=len(members) * (1 + steps * len(precisions)), console=console) as progress:
        parities: dict[str, NetworkParity | None] = {}
        for member in members:
            parities[member.id] = save_once(member, _keras_path(folder, member), classes=len(labels))
            progress.advance(f"saved {member.id}")
        results = _convert(
            members,
            folder=folder,
            precisions=precisions,
            images=images,
            fine_tuning=fine_tuning or FineTuning(),
            metadata=partial(_metadata, labels=labels, credits=credits or Credits()),
            workers=workers,
            on_done=lambda result: progress.advance(f"converted {result.job.tflite_path.stem}"),
        )
        written = {result.job.tflite_path for result in results if not result.error}
        entries: list[ModelEntry] = []
        for member in members:
            measurer = Measurer(
                keras_path=_keras_path(folder, member),
                batches=partial(evaluation_batches, member.resolution),
                evaluation={"dataset": header.dataset, "versions": header.versions},
                threads=workers,
            )
            for precision in precisions:
                path = _tflite_path(folder, member, precision)
                if path in written:
                    entry = _entry(member, path, precision=precision, measurer=measurer, folder=folder)
                    entries.append(_with_parity(entry, parities[member.id]))
                progress.advance(f"checked {path.stem}")
        entries = time_files(entries, folder, threads=latency_threads, earlier=previous, on_done=progress.advance)
    manifest = _finish(folder, entries, previous, header=header, labels=labels, search=search, phones=phone_latencies)
    _, strangers = split_by_fit(phone_latencies, manifest)
    failures = (
        *_conversion_failures(results),
        *_check_failures(manifest),
        *(f"{row.where}: the file that was measured is no longer in the export" for row in strangers),
    )
    return FamilyExport(manifest, failures)


def _finish(
    folder: Path,
    entries: Sequence[ModelEntry],
    previous: Sequence[ModelEntry],
    *,
    header: ManifestHeader,
    labels: Sequence[str],
    search: SearchRecord | None,
    phones: Sequence[PhoneLatency],
) -> Manifest:
    """Writes the documents about the new files and what still holds of an earlier export; the manifest is the last."""
    new = {entry.path for entry in entries}
    kept = [entry for entry in previous if entry.path not in new]
    manifest = Manifest(**vars(header), models=_with_pareto([*entries, *kept]))
    manifest = with_phone_latencies(manifest, split_by_fit(phones, manifest)[0])
    _write_documents(folder, manifest, labels=labels, search=search)
    (folder / _PREVIOUS).unlink(missing_ok=True)
    return manifest


def _refuse_nonsense(
    members: Sequence[FamilyMember], *, labels: Sequence[str], precisions: Sequence[str], images: ConversionImages
) -> None:
    ids = [member.id for member in members]
    if not ids or len(set(ids)) < len(ids):
        raise ValueError(f"Expected at least one member and no id twice. Received: {ids}.")
    if not labels or any(not label.strip() or len(label.splitlines()) != 1 for label in labels):
        raise ValueError(f"Expected class names of one line each. Received: {list(labels)!r:.200}.")
    if not precisions or len(set(precisions)) < len(precisions):
        raise ValueError(f"Expected at least one precision and none twice. Received: {list(precisions)}.")
    images.refuse_missing(precisions)


def _take_previous(folder: Path, header: ManifestHeader) -> list[ModelEntry]:
    """Sets the manifest of an earlier export aside and returns what of it still holds.

    A second export, of other structures or precisions, adds to the first. Files that were changed since, and files of
    another training or measured on other images (the header's dataset tells), are left out.
    """
    current, aside = folder / "manifest.json", folder / _PREVIOUS
    if current.exists():
        current.replace(aside)
    if not aside.exists():
        return []
    try:
        previous = read_manifest(aside)
    except ValueError:
        return []
    if (previous.dataset, previous.seed) != (header.dataset, header.seed):
        return []
    paths = ((entry, folder / entry.path) for entry in previous.models)
    return [entry for entry, path in paths if path.is_file() and atomic_file.sha256_of(path) == entry.sha256]


def _keras_path(folder: Path, member: FamilyMember) -> Path:
    return folder / member.id / f"{member.id}.keras"


def _tflite_path(folder: Path, member: FamilyMember, precision: str) -> Path:
    return folder / member.id / f"{member.id}_{precision}.tflite"


def _convert(
    members: Sequence[FamilyMember],
    *,
    folder: Path,
    precisions: Sequence[str],
    images: ConversionImages,
    fine_tuning: FineTuning,
    metadata: Callable[[FamilyMember], FileMetadata],
    workers: int,
    on_done: Callable[[ConversionResult], None],
) -> list[ConversionResult]:
    with tempfile.TemporaryDirectory(prefix="ofar_tf_export_") as scratch:
        resolutions = [member.resolution for member in members]
        paths = images.write(Path(scratch), precisions=precisions, resolutions=resolutions)
        jobs = [
            ConversionJob(
                keras_path=_keras_path(folder, member),
                tflite_path=_tflite_path(folder, member, name),
                precision=name,
                representative_path=paths.get((name, member.resolution)),
                metadata=metadata(member),
                fine_tuning=fine_tuning if precision_named(name).fine_tuned else None,
            )
            for member in members
            for name in precisions
        ]
        return convert_files(jobs, workers=workers, on_done=on_done)


def _metadata(member: FamilyMember, *, labels: Sequence[str], credits: Credits) -> FileMetadata:
    network = (
        f"Image classifier, {len(labels)} classes, {member.resolution}x{member.resolution} pixels, "
        f"{format_quantity(member.macs)} multiply-adds, structure {member.structure}."
    )
    described = replace(credits, description=f"{credits.description} {network}".strip())
    return FileMetadata(name=member.id, labels=tuple(labels), **vars(described))


def _entry(member: FamilyMember, path: Path, *, precision: str, measurer: Measurer, folder: Path) -> ModelEntry:
    interface = TFLiteClassifier(path, allocate=False)
    measurement = measurer.measure(path, precision=precision)
    facts = measurer.facts(path, precision=precision)
    if facts.layer_errors:
        write_layer_errors(path.with_suffix(".layers.csv"), facts.layer_errors)
    return ModelEntry(
        id=member.id,
        path=path.relative_to(folder).as_posix(),
        sha256=atomic_file.sha256_of(path),
        bytes=path.stat().st_size,
        structure=member.structure,
        rate=member.rate,
        resolution=member.resolution,
        macs=member.macs,
        params=member.params,
        quantization=precision,
        input=interface.input,
        output=interface.output,
        labels=LABELS_FILE,
        metrics=measurement.metrics,
        checks=measurement.checks,
        arena_bytes=facts.arena_bytes,
        gpu_refused=facts.gpu_refused,
        layer_errors=worst_layers(facts.layer_errors, _WORST_LAYERS),
    )


def _with_parity(entry: ModelEntry, parity: NetworkParity | None) -> ModelEntry:
    """Adds how far the file's parent is from the network that was trained; too far fails the file."""
    checks = entry.checks
    for reason in parity.reasons if parity else ():
        checks = checks.with_reason(reason)
    return replace(entry, checks=checks, parity=parity)


def _with_pareto(entries: Sequence[ModelEntry]) -> tuple[ModelEntry, ...]:
    """Marks the front among the passing files of each precision and sorts the largest first."""
    chosen: set[str] = set()
    for precision in {entry.quantization for entry in entries}:
        passed = [entry for entry in entries if entry.quantization == precision and entry.checks.passed]
        front = zip(passed, pareto_front(passed), strict=True)
        chosen.update(entry.path for entry, is_best in front if is_best)
    marked = [replace(entry, pareto=entry.path in chosen) for entry in entries]
    return tuple(sorted(marked, key=lambda entry: (-entry.macs, entry.id, -entry.bytes)))


def _write_documents(folder: Path, manifest: Manifest, *, labels: Sequence[str], search: SearchRecord | None) -> None:
    atomic_file.write_text(folder / LABELS_FILE, "".join(f"{label}\n" for label in labels))
    points = [
        ParetoPoint(entry.structure, str(entry.resolution), entry.macs, entry.top1, variant=entry.quantization)
        for entry in manifest.models
        if entry.metrics
    ]
    if points:
        plot_pareto(folder / "pareto.png", points, title="Exported files")
    if manifest.models:
        write_model_card(folder / "README.md", manifest)
        write_report(folder / "report.html", manifest, search=search)
        write_file_list(folder / "files.csv", manifest)
        write_phone_benchmark(folder, manifest)
    write_manifest(folder / "manifest.json", manifest)


def _conversion_failures(results: Sequence[ConversionResult]) -> list[str]:
    return [f"{result.job.tflite_path.stem}: {result.error}" for result in results if result.error]


def _check_failures(manifest: Manifest) -> list[str]:
    failed = (entry for entry in manifest.models if not entry.checks.passed)
    return [f"{Path(entry.path).stem}: {' '.join(entry.checks.reasons)}" for entry in failed]


class _ProgressBar:
    """One bar over all the steps of an export, with the last step beside it."""

    def __init__(self, *, total: int, console: Console | None) -> None:
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        self._progress = Progress(*columns, console=console)
        self._task = self._progress.add_task("", total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def advance(self, step: str) -> None:
        self._progress.update(self._task, advance=1, description=step)
