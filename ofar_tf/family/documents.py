"""The documents of an export folder, written from its manifest, which comes last."""

from collections.abc import Mapping, Sequence

from ofar_tf.conversion.images import FamilyImages
from ofar_tf.evaluation.pareto_figure import ParetoPoint, plot_pareto
from ofar_tf.family.examples import draw_examples
from ofar_tf.family.family_folder import FamilyFolder
from ofar_tf.family.file_list import write_file_list
from ofar_tf.family.manifest import Manifest, write_manifest
from ofar_tf.family.model_card import write_model_card
from ofar_tf.family.phone_benchmark import write_phone_benchmark
from ofar_tf.family.report.report import write_report
from ofar_tf.family.report.search_record import SearchRecord
from ofar_tf.files import atomic_file
from ofar_tf.tasks.answers import predictions_path, read_predictions
from ofar_tf.tasks.classification.predictions import Predictions
from ofar_tf.tasks.interface import Shipped


def describe(
    folder: FamilyFolder,
    manifest: Manifest,
    *,
    task: Shipped,
    labels: Sequence[str],
    images: FamilyImages,
    report_images: int,
    search: SearchRecord | None = None,
) -> None:
    """Writes the documents.

    They are `labels.txt`, `pareto.png`, `README.md`, `report.html`, `files.csv`, `benchmark_on_phone.sh` and, last,
    `manifest.json`.

    Args:
        folder: The folder.
        manifest: Its files.
        task: What they learned.
        labels: The class names, in the order of the outputs; none for tasks without classes.
        images: What files are measured on.
        report_images: How many of these the report shows.
        search: What the structure search found, for the report; None where it is not known.
    """
    if labels:
        atomic_file.write_text(folder.labels, "".join(f"{label}\n" for label in labels))
    points = [
        ParetoPoint(
            entry.structure,
            str(entry.resolution),
            entry.macs,
            entry.metrics.merit,
            variant=entry.variant,
            interval=entry.metrics.interval,
            noise=entry.choice_noise,
        )
        for entry in manifest.models
        if entry.metrics
    ]
    if points:
        plot_pareto(folder.figure, points, metric=manifest.metric, title="Exported files")
    if manifest.models:
        write_model_card(folder.model_card, manifest, task=task)
        write_report(
            folder.report,
            manifest,
            kind=task.kind,
            search=search,
            predictions=_predictions(folder, manifest, task=task, labels=labels),
            labels=labels,
            examples=draw_examples(
                manifest, folder=folder, task=task, labels=labels, images=images, count=report_images
            ),
        )
        write_file_list(folder.file_list, manifest)
        write_phone_benchmark(folder.path, manifest)
    write_manifest(folder.manifest, manifest)
    folder.end()


def _predictions(
    folder: FamilyFolder, manifest: Manifest, *, task: Shipped, labels: Sequence[str]
) -> Mapping[str, Predictions]:
    """Reads what each file says of each image, where it names a class and that lies beside the file."""
    paths = {model.path: predictions_path(folder.path / model.path) for model in manifest.models if model.metrics}
    found = {path: read_predictions(stored, parse=task.answers_of) for path, stored in paths.items()}
    return {path: each for path, each in found.items() if isinstance(each, Predictions) and each.fits(len(labels))}
