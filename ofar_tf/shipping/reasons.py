"""Why a file was chosen, in a few lines for people."""

from collections.abc import Iterator, Sequence

from ofar_tf.family.manifest import Manifest, ModelEntry
from ofar_tf.shipping.limits import Limits
from ofar_tf.tasks.scores import Metric, Scores
from ofar_tf.text.quantities import format_quantity


def reasons(manifest: Manifest, limits: Limits, *, winner: ModelEntry, others: Sequence[ModelEntry]) -> Iterator[str]:
    """Says why a file is chosen: what it costs, what the runner-up would change, and what was left out.

    Args:
        manifest: The files of an export.
        limits: What a file may cost and must reach.
        winner: The file that is chosen.
        others: The other files within the limits, in the order of choice.

    Yields:
        Lines for people.
    """
    costs = f"{format_quantity(winner.macs)} MACs, {format_quantity(winner.bytes)} bytes{_time(winner, limits)}"
    why = _why(winner, others)
    reached = f"{_told(winner.metrics)} {manifest.metric.column}"
    yield f"Chosen: {winner.path}, {why} of {1 + len(others)} within {limits}: {reached}, {costs}."
    if winner.selection:
        yield f"Chosen on the selection split, where it has {_told(winner.selection)}."
    if winner.checks.warning:
        yield f"Not known: {winner.checks.warning}"
    if others:
        yield f"Runner-up: {others[0].path}: {_change(winner, others[0], limits, metric=manifest.metric)}."
    beyond = (m for m in manifest.models if m.form == limits.form and (limits.excess(m) or not limits.admits(m)))
    if better := [m for m in beyond if m.checks.passed and m.merit > winner.merit]:
        best = max(better, key=lambda model: (model.merit, -limits.excess(model)))
        has = f"{best.path} has {_told(best.metrics)}{_missed(best, limits)}"
        yield f"Over the limits: {len(better)} more accurate; {has}."
    if failed := sum(not model.checks.passed for model in manifest.models):
        yield f"Left out: {failed} that failed a check."


def _why(winner: ModelEntry, others: Sequence[ModelEntry]) -> str:
    """Says what speaks for the winner: its accuracy, its cost among equals, or its size within the noise."""
    best = max(others, key=lambda model: model.merit, default=None)
    if best is None or best.merit < winner.merit:
        return "the most accurate"
    if best.merit > winner.merit:
        return f"the smallest within the noise of the most accurate ({_told(best.chosen_by)})"
    return "the cheapest of the most accurate"


def _told(scores: Scores | None) -> str:
    """Returns what was reached; a file that passed its checks was measured."""
    return scores.metric.brief(scores.best) if scores else "not measured"


def _time(model: ModelEntry, limits: Limits) -> str:
    latency = limits.latency_ms(model)
    predicted = " (predicted)" if limits.is_predicted(model) else ""
    return f", {latency:.3g} ms{predicted}" if latency < float("inf") else ""


def _change(winner: ModelEntry, other: ModelEntry, limits: Limits, *, metric: Metric) -> str:
    """Says what the runner-up gains and loses."""
    better = other.metrics.best - winner.metrics.best if other.metrics and winner.metrics else 0.0
    before = {"MACs": winner.macs, "bytes": winner.bytes, "latency": limits.latency_ms(winner)}
    after = {"MACs": other.macs, "bytes": other.bytes, "latency": limits.latency_ms(other)}
    told = f"{metric.text(better, sign='+')}{' points' if metric.shares else ''}"
    changes = [told] if better else ["as accurate"]
    for name, cost in before.items():
        if max(cost, after[name]) < float("inf") and abs(share := after[name] / cost - 1) >= 0.005:
            changes.append(f"{share:+.0%} {name}")
    return ", ".join(changes)


def _missed(model: ModelEntry, limits: Limits) -> str:
    if not limits.admits(model):
        return f" but is {model.quantization}"
    missed = [
        f"{excess:.0%} beyond {name}" if excess < float("inf") else "not measured there"
        for name, excess in limits.misses(model).items()
    ]
    return f", {' and '.join(missed)}"
