"""`files.csv` of an export folder: the manifest's numbers as a table, for spreadsheets."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from ofar_tf.family.manifest import Manifest, ModelEntry
from ofar_tf.family.measured_latency import places_of
from ofar_tf.files import atomic_file

_COLUMNS = (
    *("file", "id", "structure", "rate", "resolution", "precision", "macs", "params", "bytes", "arena_bytes"),
    *("top1", "top5", "keras_top1", "images", "max_difference", "passed", "pareto", "gpu_refused", "worst_layer"),
    *("sha256", "top1_low", "top1_high", "verdict", "selection_top1"),
)


def write_file_list(path: str | Path, manifest: Manifest) -> None:
    """Writes one row for each file, with two columns for each device and thread count that latency was measured on.

    Args:
        path: Where to, normally `files.csv` in the export folder.
        manifest: The files.
    """
    places = places_of(manifest.models)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    headings = [f"{figure} on {device}, threads={threads}" for device, threads in places for figure in ("ms", "p90 ms")]
    writer.writerow([*_COLUMNS, *headings])
    for model in manifest.models:
        measured = {latency.place: latency for latency in model.latency}
        timed = (measured.get(place) for place in places)
        figures = [(found.median_ms, found.p90_ms) if found else (None, None) for found in timed]
        writer.writerow([*_facts(model), *(figure for pair in figures for figure in pair)])
    atomic_file.write_text(path, text.getvalue())


def _facts(model: ModelEntry) -> Iterator[object]:
    metrics = model.metrics
    yield from (model.path, model.id, model.structure, model.rate, model.resolution, model.quantization)
    yield from (model.macs, model.params, model.bytes, model.arena_bytes)
    yield from (metrics.top1, metrics.top5, metrics.keras_top1, metrics.images) if metrics else (None,) * 4
    yield from (model.checks.max_difference, model.checks.passed, model.pareto)
    yield " ".join(model.gpu_refused) if model.gpu_refused is not None else None
    yield model.layer_errors[0].layer if model.layer_errors else None
    yield model.sha256
    yield from metrics.interval if metrics else (None, None)
    yield from (model.checks.verdict, model.selection.top1 if model.selection else None)
