"""What a file may cost and must reach to be shipped."""

import math
from dataclasses import dataclass, fields

from ofar_tf.family.manifest import ModelEntry
from ofar_tf.family.measured_latency import times_of


@dataclass(frozen=True)
class Limits:
    """What a file may cost and must reach; None where there is no limit.

    Attributes:
        max_macs: Most multiply-adds of one image.
        max_bytes: Largest file.
        min_score: Worst number that networks are compared by, for instance the lowest top-1 accuracy, in 0..1.
        max_latency_ms: Longest median latency in milliseconds, on `device`, as measured there, else as predicted; where
            it is neither, the file does not fit.
        quantization: The only precision that may be chosen.
        device: Whose latency counts; None for the slowest of all that it is known on.
        form: What files must return (`raw` of detectors); None for what those of their task usually return.
    """

    max_macs: int | None = None
    max_bytes: int | None = None
    min_score: float | None = None
    max_latency_ms: float | None = None
    quantization: str | None = None
    device: str | None = None
    form: str | None = None

    def __post_init__(self) -> None:
        for name in ("max_macs", "max_bytes", "max_latency_ms"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise ValueError(f"Expected a positive limit. Received: {name}={value}.")
        if self.min_score is not None and not math.isfinite(self.min_score):
            raise ValueError(f"Expected a number. Received: min_score={self.min_score}.")

    def latency_ms(self, model: ModelEntry) -> float:
        """Looks up the latency that counts.

        Args:
            model: A file.

        Returns:
            The median in milliseconds, the longest where there are several; infinite where there is none.
        """
        times = (ms for (device, _), ms in times_of(model).items() if self.device in (None, device))
        return max(times, default=float("inf"))

    def is_predicted(self, model: ModelEntry) -> bool:
        """Tells whether the latency that counts was not measured, only predicted."""
        predicted = model.predicted
        return (
            predicted is not None
            and predicted.ms == self.latency_ms(model)
            and all(each.place != predicted.place for each in model.latency)
        )

    def admits(self, model: ModelEntry) -> bool:
        """Tells whether files of a precision and form may be chosen."""
        return self.quantization in (None, model.quantization) and self.form == model.form

    def misses(self, model: ModelEntry) -> dict[str, float]:
        """Says which limits a file misses, and by how much.

        Args:
            model: A file.

        Returns:
            By the name of the limit what the file is over it (or worse than the score), as a share of the limit; empty
            exactly if the file fits.
        """
        costs = {"max_macs": model.macs, "max_bytes": model.bytes, "max_latency_ms": self.latency_ms(model)}
        over = {name: cost / limit - 1 for name, cost in costs.items() if (limit := getattr(self, name)) is not None}
        if self.min_score is not None and (scores := model.chosen_by):
            worst = self.min_score if scores.metric.higher_is_better else -self.min_score
            over["min_score"] = (worst - scores.merit) / (abs(worst) or 1.0)
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
