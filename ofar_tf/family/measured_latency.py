"""The latencies of a family at one place, measured or predicted, and which of them the noise does not separate."""

from collections.abc import Sequence

from ofar_tf.family.model_entry import ModelEntry
from ofar_tf.tflite.latency import Latency

Place = tuple[str, int]
"""Where latency was measured: the name of a device, and how many threads."""


def places_of(models: Sequence[ModelEntry]) -> list[Place]:
    """Lists where any of the files was timed, in the order of the files.

    Args:
        models: The files.
    """
    return list(dict.fromkeys(latency.place for model in models for latency in model.latency))


def latency_at(model: ModelEntry, place: Place) -> Latency | None:
    """Finds the measurement of a file at a place; None where it was not timed there.

    Args:
        model: The file.
        place: The device and its threads.
    """
    return next((latency for latency in model.latency if latency.place == place), None)


def times_of(model: ModelEntry) -> dict[Place, float]:
    """Lists how many milliseconds a file takes, by place: as it was measured there, else as it was predicted.

    Args:
        model: The file.
    """
    predicted = {model.predicted.place: model.predicted.ms} if model.predicted else {}
    return predicted | {latency.place: latency.median_ms for latency in model.latency}


def prediction_misses(models: Sequence[ModelEntry]) -> list[float]:
    """Lists by which share the prediction of each file is off what was measured at the same place.

    Args:
        models: The files; those that were not both predicted and measured count nothing.
    """
    pairs = [(model.predicted, latency_at(model, model.predicted.place)) for model in models if model.predicted]
    return [abs(predicted.ms / measured.median_ms - 1.0) for predicted, measured in pairs if measured]


def not_separated(models: Sequence[ModelEntry], place: Place) -> frozenset[str]:
    """Finds the files that are not shown to be faster or slower than each other one.

    Args:
        models: The files.
        place: The device and its threads.

    Returns:
        The paths of those whose rounds overlap with the rounds of another file.
    """
    timed = [(model.path, latency) for model in models if (latency := latency_at(model, place))]
    return frozenset(path for path, own in timed if any(own.may_equal(other) for name, other in timed if name != path))


def spread_text(latency: Latency) -> str:
    """Writes the least and the largest median of a round, `1.9-2.2`; empty where they are not known."""
    return "{:.3g}-{:.3g}".format(*latency.spread_ms) if latency.spread_ms else ""
