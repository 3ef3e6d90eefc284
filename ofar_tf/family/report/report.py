"""`report.html` of an export folder: one page, without any other file or network, to choose a file by."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup, escape
from matplotlib import colormaps
from matplotlib.colors import to_hex

from ofar_tf.conversion.precision import PRECISIONS
from ofar_tf.family.columns import REPORT, columns_of
from ofar_tf.family.manifest import Manifest
from ofar_tf.family.report.class_results import class_results
from ofar_tf.family.report.measures import Measure, measures_of
from ofar_tf.family.report.search_record import SearchRecord, SimilarityMap
from ofar_tf.files import atomic_file
from ofar_tf.pruning.channel_groups import ChannelGroup
from ofar_tf.search.pruned_network_pool import PrunedNetworkPool
from ofar_tf.tasks.classification.predictions import Predictions
from ofar_tf.tasks.examples import Example
from ofar_tf.text.quantities import format_quantity

_FOLDER = "page"
_SCRIPTS = ("chart.umd.min.js", "choice.js", "plot.js", "table.js", "page.js")
_LEAST_COSINE = 0.5
_MOST_EPOCHS = 32


def write_report(
    path: str | Path,
    manifest: Manifest,
    *,
    kind: str,
    search: SearchRecord | None = None,
    predictions: Mapping[str, Predictions] | None = None,
    labels: Sequence[str] = (),
    examples: Mapping[str, Sequence[Example]] | None = None,
) -> None:
    """Writes the report of an export folder.

    It draws accuracy with its intervals against each cost with the Pareto front, names the file to ship within a
    budget, as `ofar_tf.shipping.selection.choose` does, and lists the files and what each one knows of each class. With
    a search record it also shows the widths of the structures and how alike their masks were during the search. Equal
    arguments give equal bytes.

    Args:
        path: Where to, normally `report.html` in the export folder.
        manifest: The files, at least one.
        kind: What they are called, in the plural (`Shipped.kind`).
        search: What the structure search found; None where it is not known.
        predictions: What files say of each image, by path; those of files without may be missing.
        labels: The class names; needed with predictions.
        examples: Images with what files say of them, by path.

    Raises:
        ValueError: If the manifest has no files.
    """
    if not manifest.models:
        raise ValueError("Expected a manifest with at least one file. Received: none.")
    measures = measures_of(manifest)
    figure = "accuracy" if manifest.metric.counts_images else manifest.metric.title
    page = _template().render(
        manifest=manifest,
        metric=manifest.metric,
        heading=_capital(figure),
        figure=figure,
        kind=kind,
        images=next((file.metrics.images for file in manifest.models if file.metrics), 0),
        selection=next((file.selection for file in manifest.models if file.selection), None),
        by_class={path: class_results(found, labels) for path, found in (predictions or {}).items()},
        examples=examples or {},
        columns=columns_of(manifest, REPORT),
        measures=measures,
        precisions={file.variant: _summary(file.quantization) for file in manifest.models},
        structures=list(dict.fromkeys(file.structure for file in manifest.models)),
        pool=search.pool if search else None,
        widths=_widths(search.pool) if search else [],
        similarity=search.similarity if search else (),
        maps=[_draw(similarity) for similarity in search.similarity] if search else [],
        ramp=[_colour(cosine) for cosine in np.linspace(_LEAST_COSINE, 1.0, num=9)],
        style=Markup(_part("page.css")),
        scripts=[Markup(_part(name)) for name in _SCRIPTS],
        data=_for_script(_page_data(manifest, measures)),
    )
    atomic_file.write_text(path, page)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ofar_tf.family.report", _FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(quantity=format_quantity, breakable=_breakable)
    return environment.get_template("page.html")


def _breakable(name: str) -> Markup:
    """Lets a long name break after its underscores."""
    return escape(name).replace("_", Markup("_<wbr>"))


def _part(name: str) -> str:
    return (resources.files("ofar_tf.family.report") / _FOLDER / name).read_text(encoding="utf-8")


def _summary(precision: str) -> str:
    return PRECISIONS[precision].summary if precision in PRECISIONS else ""


def _page_data(manifest: Manifest, measures: Sequence[Measure]) -> dict[str, Any]:
    """Returns what the program of the page works on: the files in the order of the table's rows."""
    files = [
        {
            "path": file.path,
            "structure": file.structure,
            "precision": file.variant,
            "usual": file.form is None,
            "label": f"{file.structure} {file.resolution}px",
            "score": file.metrics.best if file.metrics else None,
            "interval": file.metrics.interval if file.metrics else None,
            "choice": file.merit if file.chosen_by else None,
            "noise": file.choice_noise,
            "passed": file.checks.passed,
            "costs": {each.key: cost for each in measures if (cost := each.cost(file)) is not None},
        }
        for file in manifest.models
    ]
    offered = [{"key": m.key, "label": m.label, "unit": m.unit, "scale": m.scale} for m in measures]
    metric = manifest.metric
    shown = {"title": _capital(metric.title), "column": metric.column, "heading": metric.heading}
    scale = {"factor": metric.factor, "unit": metric.unit, "shares": metric.shares}
    return {"files": files, "measures": offered, "metric": {**shown, **scale, "intervals": metric.counts_images}}


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _for_script(data: dict[str, Any]) -> Markup:
    """Writes JSON that no text in it can end the script element of."""
    text = json.dumps(data, allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _widths(pool: PrunedNetworkPool) -> list[tuple[ChannelGroup, list[int]]]:
    """Counts the channels that each structure keeps of each group."""
    return [(group, [int(mask.keep[group.channels].sum()) for mask in pool.masks]) for group in pool.masks[0].groups]


@dataclass(frozen=True)
class _Cell:
    """A square of a similarity map; `x` counts from the left, `y` from the top."""

    x: int
    y: int
    colour: str
    title: str


@dataclass(frozen=True)
class _DrawnMap:
    structure: str
    epochs: tuple[int, ...]
    cells: tuple[_Cell, ...]


def _draw(similarity: SimilarityMap) -> _DrawnMap:
    """Colours a map, the first epoch at the lower left; of a long search it takes epochs that are evenly spread."""
    count = len(similarity.cosines)
    epochs = tuple(int(epoch) for epoch in np.unique(np.linspace(1, count, num=min(count, _MOST_EPOCHS), dtype=int)))
    cells = tuple(
        _Cell(x, len(epochs) - 1 - y, _colour(cosine), f"epochs {epochs[y]} and {epochs[x]}: {cosine:.3f}")
        for y in range(len(epochs))
        for x in range(len(epochs))
        if (cosine := similarity.cosines[epochs[y] - 1][epochs[x] - 1]) is not None
    )
    return _DrawnMap(similarity.structure, epochs, cells)


def _colour(cosine: float) -> str:
    return to_hex(colormaps["viridis"]((cosine - _LEAST_COSINE) / (1.0 - _LEAST_COSINE)))
