"""The costs that a budget in the report may limit."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ofar_tf.family.columns import place_name
from ofar_tf.family.manifest import Manifest, ModelEntry
from ofar_tf.family.measured_latency import Place, times_of

_UNITS = ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "K"))


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


def measures_of(manifest: Manifest) -> list[Measure]:
    """Chooses the costs that the page offers.

    Args:
        manifest: The files, at least one.

    Returns:
        Multiply-adds and bytes; then, if any file was timed or its time predicted, the longest latency of a file over
        all devices, which is what `ofar_tf.shipping.selection` limits; and if there are several devices, the latency on
        each.
    """
    most_macs, most_bytes = (max(getattr(file, name) for file in manifest.models) for name in ("macs", "bytes"))
    macs_scale, macs_prefix = _unit(most_macs)
    bytes_scale, bytes_prefix = _unit(most_bytes)
    measures = [
        Measure("macs", "Multiply-adds", f"{macs_prefix} MACs".strip(), macs_scale, lambda file: file.macs),
        Measure("bytes", "Size of the file", f"{bytes_prefix}B".replace("K", "k"), bytes_scale, lambda f: f.bytes),
    ]
    places = list(dict.fromkeys(place for file in manifest.models for place in times_of(file)))
    if places:
        where = place_name(places[0]) if len(places) == 1 else "the slowest of all devices"
        measures.append(Measure("latency", f"Latency, {where}", "ms", 1, _longest_ms))
    for number, place in enumerate(places if len(places) > 1 else ()):
        cost = partial(_ms_at, place=place)
        measures.append(Measure(f"latency{number}", f"Latency, {place_name(place)}", "ms", 1, cost))
    return measures


def _unit(largest: int) -> tuple[int, str]:
    return next(((scale, prefix) for scale, prefix in _UNITS if largest >= scale), (1, ""))


def _longest_ms(file: ModelEntry) -> float | None:
    return max(times_of(file).values(), default=None)


def _ms_at(file: ModelEntry, *, place: Place) -> float | None:
    return times_of(file).get(place)
