"""What the report says of each file: the columns of its table, and the costs that a budget may limit.

A new fact about a file becomes a new column by one more line here; the page itself knows no column by name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ofar_tf.family.manifest import Manifest, ModelEntry
from ofar_tf.family.measured_latency import Place, latency_at, not_separated, places_of, spread_text
from ofar_tf.text.quantities import format_quantity

_UNITS = ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "K"))


@dataclass(frozen=True)
class Column:
    """One column of the table of files.

    Attributes:
        heading: What stands above, one or two words.
        text: What stands in the cell of a file; empty where there is nothing to say.
        order: What the files are sorted by, all numbers or all texts; None where it is not known: those come last.
        note: What the heading does not say, a few words.
        detail: What stands in small letters below the text of a file; empty where there is nothing to say.
        numeric: Whether the cells are numbers.
        fact: Whether it belongs beside the name of the file to ship.
    """

    heading: str
    text: Callable[[ModelEntry], str]
    order: Callable[[ModelEntry], float | str | None]
    note: str = ""
    detail: Callable[[ModelEntry], str] = lambda file: ""
    numeric: bool = True
    fact: bool = True


@dataclass(frozen=True)
class Measure:
    """A cost that a budget may limit and that accuracy is drawn against.

    Attributes:
        key: Its name for the program of the page.
        label: Its name for people.
        unit: What budgets are given in.
        scale: How many multiply-adds, bytes or milliseconds make one unit.
        cost: The multiply-adds, bytes or milliseconds of a file; None where they were not measured.
    """

    key: str
    label: str
    unit: str
    scale: int
    cost: Callable[[ModelEntry], float | None]


def columns_of(manifest: Manifest) -> list[Column]:
    """Chooses the columns of the table.

    Args:
        manifest: The files.

    Returns:
        The columns from left to right, with one for each device and thread count that latency was measured on.
    """
    latencies = (_latency_column(place, manifest) for place in places_of(manifest.models))
    selected = any(file.selection for file in manifest.models)
    choice = Column("Choice", lambda file: _percent(_choice(file)), _choice, "% on the selection split")
    return [
        Column("File", lambda file: file.id, lambda file: file.id, numeric=False, fact=False),
        Column("Precision", lambda file: file.quantization, lambda file: file.quantization, numeric=False),
        Column("Top-1", lambda file: _percent(_top1(file)), _top1, "%, 95 % interval", _interval),
        *([choice] if selected else []),
        Column("Change", lambda file: _percent(_change(file), sign="+"), _change, "from Keras, points"),
        Column("MACs", lambda file: format_quantity(file.macs), lambda file: file.macs),
        Column("Bytes", lambda file: format_quantity(file.bytes), lambda file: file.bytes),
        *latencies,
        Column("Memory", _memory, lambda file: file.arena_bytes, "bytes for tensors"),
        Column("GPU", lambda file: _gpu(file) or "", _gpu, "by LiteRT's list", numeric=False),
        Column("Pixels", lambda file: str(file.resolution), lambda file: file.resolution),
        Column("Weights", lambda file: format_quantity(file.params), lambda file: file.params),
        Column("Structure", lambda file: file.structure, lambda file: file.structure, numeric=False),
        Column("Front", lambda file: _front(file) or "", _front, "by MACs", numeric=False, fact=False),
        Column("Check", _verdict, _verdict, numeric=False, fact=False),
    ]


def _latency_column(place: Place, manifest: Manifest) -> Column:
    unsure = not_separated(manifest.models, place)

    def text(file: ModelEntry) -> str:
        return _milliseconds(file, place) + (" ≈" if file.path in unsure else "")

    return Column(
        "Latency", text, partial(_median_ms, place=place), f"ms, {_words(place)}", partial(_spread, place=place)
    )


def measures_of(manifest: Manifest) -> list[Measure]:
    """Chooses the costs that the page offers.

    Args:
        manifest: The files, at least one.

    Returns:
        Multiply-adds and bytes; then, if any file was timed, the longest latency of a file over all devices, which is
        what `ofar_tf.shipping.selection` limits; and if there are several devices, the latency on each.
    """
    most_macs, most_bytes = (max(getattr(file, name) for file in manifest.models) for name in ("macs", "bytes"))
    macs_scale, macs_prefix = _unit(most_macs)
    bytes_scale, bytes_prefix = _unit(most_bytes)
    measures = [
        Measure("macs", "Multiply-adds", f"{macs_prefix} MACs".strip(), macs_scale, lambda file: file.macs),
        Measure("bytes", "Size of the file", f"{bytes_prefix}B".replace("K", "k"), bytes_scale, lambda f: f.bytes),
    ]
    places = places_of(manifest.models)
    if places:
        where = _words(places[0]) if len(places) == 1 else "the slowest of all devices"
        measures.append(Measure("latency", f"Latency, {where}", "ms", 1, _longest_ms))
    for number, place in enumerate(places if len(places) > 1 else ()):
        cost = partial(_median_ms, place=place)
        measures.append(Measure(f"latency{number}", f"Latency, {_words(place)}", "ms", 1, cost))
    return measures


def _unit(largest: int) -> tuple[int, str]:
    return next(((scale, prefix) for scale, prefix in _UNITS if largest >= scale), (1, ""))


def _words(place: Place) -> str:
    name, threads = place
    return f"{name}, {threads} thread{'s' * (threads != 1)}"


def _median_ms(file: ModelEntry, *, place: Place) -> float | None:
    found = latency_at(file, place)
    return found.median_ms if found else None


def _spread(file: ModelEntry, *, place: Place) -> str:
    found = latency_at(file, place)
    return spread_text(found) if found else ""


def _longest_ms(file: ModelEntry) -> float | None:
    return max((measured.median_ms for measured in file.latency), default=None)


def _milliseconds(file: ModelEntry, place: Place) -> str:
    median = _median_ms(file, place=place)
    return "" if median is None else f"{median:.3g}"


def _top1(file: ModelEntry) -> float | None:
    return file.metrics.top1 if file.metrics else None


def _choice(file: ModelEntry) -> float | None:
    return file.selection.top1 if file.selection else None


def _interval(file: ModelEntry) -> str:
    return "{:.1f}-{:.1f}".format(*(100 * end for end in file.metrics.interval)) if file.metrics else ""


def _change(file: ModelEntry) -> float | None:
    return file.metrics.top1 - file.metrics.keras_top1 if file.metrics else None


def _percent(share: float | None, *, sign: str = "") -> str:
    return "" if share is None else f"{100 * share:{sign}.2f}"


def _memory(file: ModelEntry) -> str:
    return "" if file.arena_bytes is None else format_quantity(file.arena_bytes)


def _gpu(file: ModelEntry) -> str | None:
    if file.gpu_refused is None:
        return None
    return f"refuses {', '.join(file.gpu_refused)}" if file.gpu_refused else "takes all"


def _front(file: ModelEntry) -> str | None:
    return "yes" if file.pareto else None


def _verdict(file: ModelEntry) -> str:
    """The sentences behind it stand below the table: in a cell they would make a row of many lines."""
    return {"passed": "passed", "failed": "✗ failed", "cannot_tell": "? cannot tell"}[file.checks.verdict]
