"""What the documents of an export say of each file.

`files.csv`, the model card, the table on the screen and the report all take their columns from one list. A new fact
about a file becomes a new column by one more entry here; no document knows a column by name.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from ofar_tf.family.manifest import Manifest, ModelEntry
from ofar_tf.family.measured_latency import Place, latency_at, not_separated, places_of, spread_text
from ofar_tf.text.quantities import format_quantity

CSV, CARD, SPEED, REPORT, SCREEN = "files.csv", "files of the card", "speed in the card", "report", "screen"
"""The documents. The one on the screen has a row for each network; the others for each file."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: What it is called in `files.csv`; the same in every language.
        heading: What stands above it for people, one or two words.
        value: What is known of a file; None where nothing is.
        shown: The documents that have it.
        show: A value for people.
        words: For people, in the place of the value; files are sorted by it too.
        note: What the heading does not say, a few words.
        mark: What follows the text of a file; empty for nothing.
        detail: What stands in small letters below it in the report; empty for nothing.
        numeric: Whether the cells are numbers.
        fact: Whether it belongs beside the name of the file to ship.
        order_by: What files are sorted by where that is neither the value nor the words.
    """

    name: str
    heading: str
    value: Callable[[ModelEntry], Any]
    shown: frozenset[str]
    show: Callable[[Any], str] = str
    words: Callable[[ModelEntry], str | None] | None = None
    note: str = ""
    mark: Callable[[ModelEntry], str] = lambda file: ""
    detail: Callable[[ModelEntry], str] = lambda file: ""
    numeric: bool = True
    fact: bool = True
    order_by: Callable[[ModelEntry], Any] | None = None

    def order(self, file: ModelEntry) -> Any:
        """Returns what files are sorted by, all numbers or all texts; None where it is not known: those come last."""
        if self.order_by:
            return self.order_by(file)
        return self.words(file) if self.words else self.value(file)

    def text(self, file: ModelEntry) -> str:
        """Returns what people read in the cell of a file; empty where there is nothing to say."""
        if self.words:
            return self.words(file) or ""
        value = self.value(file)
        return "" if value is None else self.show(value) + self.mark(file)

    @property
    def title(self) -> str:
        """The heading with its note, for documents that have one line for both."""
        return f"{self.heading}, {self.note}" if self.note else self.heading


def columns_of(manifest: Manifest, document: str) -> list[Column]:
    """Chooses the columns of a document.

    Args:
        manifest: The files; each device and thread count that latency was measured on has a column of its own.
        document: One of the documents.

    Returns:
        The columns from left to right.
    """
    return [column for column in _columns(manifest) if document in column.shown]


def place_name(place: Place) -> str:
    """Names a device and a number of threads for people."""
    device, threads = place
    return f"{device}, {threads} thread{'s' * (threads != 1)}"


def median_ms(file: ModelEntry, *, place: Place) -> float | None:
    """Returns the median latency of a file at a place; None where it was not measured."""
    found = latency_at(file, place)
    return found.median_ms if found else None


def _columns(manifest: Manifest) -> Iterator[Column]:
    everywhere, files = frozenset({CSV, CARD, REPORT, SCREEN}), frozenset({CSV, CARD, REPORT})
    table, both = frozenset({CSV}), frozenset({CSV, REPORT})
    aside = partial(Column, numeric=False, fact=False)
    yield aside("file", "File", lambda file: file.path, frozenset({CSV, CARD, SPEED}), lambda path: f"`{path}`")
    yield aside("id", "File", lambda file: file.id, both | {SCREEN})
    yield Column("precision", "Precision", lambda file: file.variant, both, numeric=False)
    yield from _score_columns(manifest)
    yield Column("macs", "MACs", lambda file: file.macs, everywhere, format_quantity)
    yield Column("bytes", "Bytes", lambda file: file.bytes, files, format_quantity)
    for place in places_of(manifest.models):
        yield from _latency_columns(place, not_separated(manifest.models, place))
    for place in dict.fromkeys(file.predicted.place for file in manifest.models if file.predicted):
        yield _predicted_column(place)
    yield Column("gpu_refused", "GPU", _gpu_list, both | {SPEED}, words=_gpu, note="by LiteRT's list", numeric=False)
    yield Column(
        "resolution", "Pixels", lambda file: file.resolution, everywhere, order_by=lambda file: file.resolution.pixels
    )
    yield Column("params", "Weights", lambda file: file.params, everywhere, format_quantity)
    yield Column("structure", "Structure", lambda file: file.structure, both, numeric=False)
    yield Column("rate", "Rate", lambda file: file.rate, frozenset({CSV, SCREEN}), lambda rate: f"{rate:.1%}")
    yield Column("images", "Images", lambda file: file.metrics.images if file.metrics else None, table)
    yield Column("max_difference", "Difference", lambda file: file.checks.max_difference, table)
    yield aside("worst_layer", "Worst layer", _worst_layer, table)
    yield aside("pareto", "Front", lambda file: file.pareto, files, words=_front, note="by MACs")
    yield aside("passed", "Check", lambda file: file.checks.passed, frozenset({CSV, CARD}), words=_findings)
    yield aside("verdict", "Check", lambda file: file.checks.verdict, both, words=_verdict)
    yield Column("agreement", "Agreement", lambda file: file.checks.argmax_agreement, table)
    yield aside("sha256", "SHA-256", lambda file: file.sha256, table)


def _score_columns(manifest: Manifest) -> Iterator[Column]:
    """Yields what was reached: the number that decides first, in files under the metric's names."""
    metric, files, table = manifest.metric, frozenset({CSV, CARD, REPORT}), frozenset({CSV})
    key, unit = metric.key, metric.unit.strip()
    score = partial(Column, show=metric.text, note=unit)
    yield score(key, _heading(metric.column), _value(key), files, detail=_interval_below)
    if metric.counts_images:
        yield score(f"{key}_low", "From", _interval_end(0), table)
        yield score(f"{key}_high", "To", _interval_end(1), table)
        interval = frozenset({CARD})
        yield Column(
            "interval", "95 % interval", lambda file: file.metrics and file.metrics.interval, interval, _interval
        )
    chosen = files if any(file.selection for file in manifest.models) else table
    split = f"{unit} on its split".strip()
    yield Column(f"selection_{key}", "Selection", _selection, chosen, metric.text, note=split)
    for name in metric.columns:
        if name != key:
            yield score(name, _heading(metric.columns[name]), _value(name), table)
    yield score(f"keras_{key}", f"Keras {metric.column}", _keras, frozenset({CSV, CARD, SCREEN}))
    note = "from Keras, points" if metric.shares else "from Keras"
    yield Column("change", "Change", _change, frozenset({CSV, REPORT}), partial(metric.text, sign="+"), note=note)


def _heading(title: str) -> str:
    return title[:1].upper() + title[1:]


def _latency_columns(place: Place, unsure: frozenset[str]) -> Iterator[Column]:
    device, threads = place
    csv_name, note = f"on {device}, threads={threads}", f"ms, {place_name(place)}"
    median, tail = partial(median_ms, place=place), partial(_p90_ms, place=place)
    yield Column(
        f"ms {csv_name}",
        "Latency",
        median,
        frozenset({CSV, REPORT}),
        _milliseconds,
        note=note,
        mark=lambda file: " ≈" if file.path in unsure else "",
        detail=partial(_rounds, place=place),
    )
    yield Column(f"p90 ms {csv_name}", "p90", tail, frozenset({CSV}), _milliseconds, note=note)
    yield Column(
        f"spread {csv_name}",
        "Latency",
        median,
        frozenset({SPEED}),
        words=partial(_spread, place=place, unsure=unsure),
        note=note,
    )


def _predicted_column(place: Place) -> Column:
    device, threads = place
    return Column(
        f"predicted ms on {device}, threads={threads}",
        "Predicted",
        partial(_predicted_ms, place=place),
        frozenset({CSV, REPORT, SPEED}),
        _milliseconds,
        note=f"ms, {place_name(place)}",
        detail=lambda file: f"±{file.predicted.error:.0%}" if file.predicted else "",
    )


def _predicted_ms(file: ModelEntry, *, place: Place) -> float | None:
    return file.predicted.ms if file.predicted and file.predicted.place == place else None


def _spread(file: ModelEntry, *, place: Place, unsure: frozenset[str]) -> str | None:
    found = latency_at(file, place)
    if not found:
        return None
    mark = " ≈" if file.path in unsure else ""
    rounds = f" {spread_text(found)}" if found.spread_ms else ""
    return f"{found.median_ms:.3g}{mark}{rounds}" + (f" ({found.p90_ms:.3g})" if found.p90_ms else "")


def _rounds(file: ModelEntry, *, place: Place) -> str:
    found = latency_at(file, place)
    return spread_text(found) if found else ""


def _p90_ms(file: ModelEntry, *, place: Place) -> float | None:
    found = latency_at(file, place)
    return found.p90_ms if found else None


def _interval_end(end: int) -> Callable[[ModelEntry], float | None]:
    return lambda file: file.metrics.interval[end] if file.metrics and file.metrics.interval else None


def _interval(ends: tuple[float, float]) -> str:
    return "{:.1f} to {:.1f}".format(*(100 * end for end in ends))


def _interval_below(file: ModelEntry) -> str:
    interval = file.metrics.interval if file.metrics else None
    return "{:.1f}-{:.1f}".format(*(100 * end for end in interval)) if interval else ""


def _selection(file: ModelEntry) -> float | None:
    return file.selection.best if file.selection else None


def _milliseconds(value: float) -> str:
    return f"{value:.3g}"


def _value(name: str) -> Callable[[ModelEntry], float | None]:
    return lambda file: file.metrics.values[name] if file.metrics else None


def _keras(file: ModelEntry) -> float | None:
    return file.metrics.keras if file.metrics else None


def _change(file: ModelEntry) -> float | None:
    return file.metrics.change if file.metrics else None


def _gpu_list(file: ModelEntry) -> str | None:
    return " ".join(file.gpu_refused) if file.gpu_refused is not None else None


def _gpu(file: ModelEntry) -> str | None:
    if file.gpu_refused is None:
        return None
    return f"refuses {', '.join(file.gpu_refused)}" if file.gpu_refused else "takes all"


def _worst_layer(file: ModelEntry) -> str | None:
    return file.layer_errors[0].layer if file.layer_errors else None


def _front(file: ModelEntry) -> str | None:
    return "yes" if file.pareto else None


def _verdict(file: ModelEntry) -> str:
    """The sentences behind it stand below the table: in a cell they would make a row of many lines."""
    return {"passed": "passed", "failed": "✗ failed", "cannot_tell": "? cannot tell"}[file.checks.verdict]


def _findings(file: ModelEntry) -> str:
    if file.checks.passed:
        return f"passed. {file.checks.warning}" if file.checks.warning else "passed"
    return f"failed: {' '.join(file.checks.reasons)}"
