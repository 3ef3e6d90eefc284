"""Which file to ship under given limits, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from ofar_tf.family.manifest import Manifest, ModelEntry
from ofar_tf.text.quantities import format_quantity


@dataclass(frozen=True)
class Limits:
    """What a file may cost and must reach; None where there is no limit.

    Attributes:
        max_macs: Most multiply-adds of one image.
        max_bytes: Largest file.
        min_top1: Lowest top-1 accuracy, in 0..1.
        max_latency_ms: Longest median latency in milliseconds, on `device`; a file that was never measured there does
            not fit.
        quantization: The only precision that may be chosen.
        device: Whose latency counts; None for the slowest of all that a file was measured on.
    """

    max_macs: int | None = None
    max_bytes: int | None = None
    min_top1: float | None = None
    max_latency_ms: float | None = None
    quantization: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        for name in ("max_macs", "max_bytes", "max_latency_ms"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise ValueError(f"Expected a positive limit. Received: {name}={value}.")
        if self.min_top1 is not None and not 0 <= self.min_top1 <= 1:
            raise ValueError(f"Expected an accuracy in 0..1. Received: min_top1={self.min_top1}.")

    def latency_ms(self, model: ModelEntry) -> float:
        """Looks up the latency that counts.

        Args:
            model: A file.

        Returns:
            The median in milliseconds, the longest where there are several; infinite where there is none.
        """
        medians = (each.median_ms for each in model.latency if self.device in (None, each.device))
        return max(medians, default=float("inf"))

    def misses(self, model: ModelEntry) -> dict[str, float]:
        """Says which limits a file misses, and by how much.

        Args:
            model: A file.

        Returns:
            By the name of the limit what the file is over it (or under the accuracy), as a share of the limit; empty
            exactly if the file fits.
        """
        costs = {"max_macs": model.macs, "max_bytes": model.bytes, "max_latency_ms": self.latency_ms(model)}
        over = {name: cost / limit - 1 for name, cost in costs.items() if (limit := getattr(self, name)) is not None}
        if self.min_top1:
            over["min_top1"] = 1 - model.top1 / self.min_top1
        return {name: excess for name, excess in over.items() if excess > 0}

    def excess(self, model: ModelEntry) -> float:
        """Says by how much a file misses the limits.

        Args:
            model: A file.

        Returns:
            The sum of `misses`; 0 exactly if it fits.
        """
        return sum(self.misses(model).values())

    def __str__(self) -> str:
        given = {
            field.name: getattr(self, field.name) for field in fields(self) if getattr(self, field.name) is not None
        }
        return ", ".join(f"{name}={value}" for name, value in given.items()) or "no limits"


def rank(manifest: Manifest, limits: Limits) -> list[ModelEntry]:
    """Sorts the files that passed their checks and fit the limits, the one to ship first.

    Args:
        manifest: The files of an export.
        limits: What a file may cost and must reach.

    Returns:
        The most accurate first; at equal accuracy the one with fewer MACs, then fewer bytes. Empty where nothing fits.
    """
    fitting = [model for model in _candidates(manifest, limits) if limits.excess(model) == 0]
    return sorted(fitting, key=lambda model: (-model.top1, model.macs, model.bytes))


def select(
    manifest: Manifest,
    *,
    max_macs: int | None = None,
    max_bytes: int | None = None,
    min_top1: float | None = None,
    max_latency_ms: float | None = None,
    quantization: str | None = None,
    device: str | None = None,
) -> ModelEntry:
    """Chooses the most accurate file within limits, among those that passed their checks.

    Args:
        manifest: The files of an export.
        max_macs: Most multiply-adds of one image.
        max_bytes: Largest file.
        min_top1: Lowest top-1 accuracy, in 0..1.
        max_latency_ms: Longest median latency in milliseconds.
        quantization: The only precision that may be chosen.
        device: Whose latency counts; None for the slowest of all that a file was measured on.

    Returns:
        The file, the first of `rank`.

    Raises:
        ValueError: If nothing fits; it names the file that misses the limits by least. Also if nothing was measured on
            the device.
    """
    return choose(manifest, Limits(max_macs, max_bytes, min_top1, max_latency_ms, quantization, device))[0]


def choose(manifest: Manifest, limits: Limits) -> list[ModelEntry]:
    """Ranks the files within limits and refuses limits that nothing meets.

    Args:
        manifest: The files of an export.
        limits: What a file may cost and must reach.

    Returns:
        What `rank` gives, at least one file.

    Raises:
        ValueError: If nothing fits; it names the file that misses the limits by least. Also if nothing was measured on
            the device.
    """
    devices = dict.fromkeys(each.device for model in manifest.models for each in model.latency)
    if limits.device is not None and limits.device not in devices:
        raise ValueError(f"Expected one of the devices {list(devices)}. Received: device={limits.device!r}.")
    if ranked := rank(manifest, limits):
        return ranked
    candidates = _candidates(manifest, limits)
    if not candidates:
        raise ValueError(
            f"Expected a file with {limits}. "
            f"Received: none of the {len(manifest.models)} files has that precision and passed its checks."
        )
    nearest = min(candidates, key=lambda model: (limits.excess(model), -model.top1, model.macs))
    latency = "".join(f", latency_ms={measured.median_ms:g} on {measured.device}" for measured in nearest.latency)
    raise ValueError(
        f"Expected a file with {limits}. Received: none of {len(candidates)} files; nearest is {nearest.path} "
        f"(macs={nearest.macs}, bytes={nearest.bytes}, top1={nearest.top1:.4f}{latency})."
    )


def explain(manifest: Manifest, limits: Limits) -> str:
    """Says why a file is chosen: what it costs, what the runner-up would change, and what was left out.

    Args:
        manifest: The files of an export.
        limits: What a file may cost and must reach.

    Returns:
        A few lines for people.

    Raises:
        ValueError: If nothing fits (`choose`).
    """
    winner, *others = choose(manifest, limits)
    return "\n".join(_reasons(manifest, limits, winner, others))


def _reasons(manifest: Manifest, limits: Limits, winner: ModelEntry, others: Sequence[ModelEntry]) -> Iterator[str]:
    costs = f"{format_quantity(winner.macs)} MACs, {format_quantity(winner.bytes)} bytes{_time(winner, limits)}"
    tied = bool(others) and others[0].top1 == winner.top1
    why = "the cheapest of the most accurate" if tied else "the most accurate"
    yield f"Chosen: {winner.path}, {why} of {1 + len(others)} within {limits}: {winner.top1:.2%} top-1, {costs}."
    if others:
        yield f"Runner-up: {others[0].path}: {_change(winner, others[0], limits)}."
    better = [model for model in manifest.models if model.checks.passed and model.top1 > winner.top1]
    if better:
        best = max(better, key=lambda model: (model.top1, -limits.excess(model)))
        yield f"Over the limits: {len(better)} more accurate; {best.path} has {best.top1:.2%}{_missed(best, limits)}."
    if failed := sum(not model.checks.passed for model in manifest.models):
        yield f"Left out: {failed} that failed a check."


def _time(model: ModelEntry, limits: Limits) -> str:
    latency = limits.latency_ms(model)
    return f", {latency:.3g} ms" if latency < float("inf") else ""


def _change(winner: ModelEntry, other: ModelEntry, limits: Limits) -> str:
    """Says what the runner-up gains and loses."""
    points = 100 * (other.top1 - winner.top1)
    before = {"MACs": winner.macs, "bytes": winner.bytes, "latency": limits.latency_ms(winner)}
    after = {"MACs": other.macs, "bytes": other.bytes, "latency": limits.latency_ms(other)}
    changes = [f"{points:+.2f} points"] if points else ["as accurate"]
    for name, cost in before.items():
        if max(cost, after[name]) < float("inf") and abs(share := after[name] / cost - 1) >= 0.005:
            changes.append(f"{share:+.0%} {name}")
    return ", ".join(changes)


def _missed(model: ModelEntry, limits: Limits) -> str:
    if limits.quantization not in (None, model.quantization):
        return f" but is {model.quantization}"
    missed = [
        f"{excess:.0%} beyond {name}" if excess < float("inf") else "not measured there"
        for name, excess in limits.misses(model).items()
    ]
    return f", {' and '.join(missed)}"


def _candidates(manifest: Manifest, limits: Limits) -> list[ModelEntry]:
    return [
        model for model in manifest.models if model.checks.passed and limits.quantization in (None, model.quantization)
    ]
