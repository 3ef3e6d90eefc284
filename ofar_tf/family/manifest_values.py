"""Values of a manifest whose form in JSON is not that of their dataclass: sizes, and the scores of any task."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from ofar_tf.family.model_entry import ModelEntry
from ofar_tf.files.json_values import Readers, from_json
from ofar_tf.tasks.scores import FileScores, Metric, Scores
from ofar_tf.text.size import Size

_LATER = ("versions", "selection", "accuracy", "margin", "rounds", "spread_ms", "predicted", "more_outputs", "form")
"""Keys that version 0.1.0 did not know: where there is nothing to say they are left out, so that it reads the file."""


def interval_key(metric: Metric) -> str:
    """Names the interval of the number that decides, which stands beside the metrics of an entry."""
    return f"{metric.key}_interval"


def to_json(value: Any) -> Any:
    """Makes JSON values of a manifest, or of a part of it.

    Args:
        value: Dataclasses, mappings, sequences and plain values.

    Returns:
        What `json.dumps` takes.
    """
    if isinstance(value, Scores):
        return value.cells()
    if isinstance(value, Size):
        return value.height if value.is_square else str(value)
    if is_dataclass(value):
        data = {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
        if isinstance(value, ModelEntry) and value.metrics and value.metrics.interval:
            data[interval_key(value.metrics.metric)] = list(value.metrics.interval)
        return {key: each for key, each in data.items() if key not in _LATER or each not in (None, [])}
    if isinstance(value, Mapping):
        return {key: to_json(each) for key, each in value.items()}
    return [to_json(each) for each in value] if isinstance(value, (list, tuple)) else value


def readers_of(metric: Metric) -> Readers:
    """Makes what reads the values that `from_json` cannot.

    Args:
        metric: What the scores of the manifest are called.

    Returns:
        A reader for each type: JSON and the name of its place to a value, or a ValueError in one line.
    """

    def scores_of(kind: type[Scores]) -> Callable[[Any, str], Any]:
        def read(data: Any, where: str) -> Scores:
            if not isinstance(data, dict):
                raise ValueError(f"Expected an object at {where}. Received: {data!r:.80}.")
            try:
                return kind.of_cells(metric, data)
            except ValueError as error:
                raise ValueError(f"{error} ({where})") from error

        return read

    inner: Readers = {Scores: scores_of(Scores), FileScores: scores_of(FileScores), Size: _size}
    return {**inner, ModelEntry: lambda data, where: _entry(data, where, metric=metric, readers=inner)}


def _entry(data: Any, where: str, *, metric: Metric, readers: Readers) -> ModelEntry:
    """Reads an entry, and holds its interval against its number, of which it follows."""
    if not isinstance(data, dict):
        raise ValueError(f"Expected an object at {where}. Received: {data!r:.80}.")
    key = interval_key(metric)
    entry: ModelEntry = from_json(
        ModelEntry, {name: value for name, value in data.items() if name != key}, where=where, readers=readers
    )
    interval = from_json(tuple[float, float] | None, data.get(key), where=f"{where}.{key}")
    if interval and not (entry.metrics and 0 <= interval[0] <= entry.metrics.best <= interval[1] <= 1):
        raise ValueError(f"Expected an interval around the accuracy, in 0..1. Received: {interval} at {where}.{key}.")
    return entry


def _size(data: Any, where: str) -> Size:
    if isinstance(data, int) and not isinstance(data, bool) and data >= 1:
        return Size.of(data)
    if isinstance(data, str):
        size = Size.parse(data)
        if not size.is_square:
            return size
    raise ValueError(f'Expected a size as 224 or "480x640" at {where}. Received: {data!r:.80}.')
