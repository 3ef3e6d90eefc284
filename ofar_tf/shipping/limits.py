"""What a file may cost and must reach to be shipped."""

from dataclasses import dataclass, fields

from ofar_tf.family.manifest import ModelEntry
from ofar_tf.family.measured_latency import times_of


@dataclass(frozen=True)
class Limits:
    """What a file may cost and must reach; None where there is no limit.

    Attributes:
        max_macs: Most multiply-adds of one image.
        max_bytes: Largest file.
        min_top1: Lowest top-1 accuracy, in 0..1.
        max_latency_ms: Longest median latency in milliseconds, on `device`, as measured there, else as predicted; where
            it is neither, the file does not fit.
        quantization: The only precision that may be chosen.
        device: Whose latency counts; None for the slowest of all that it is known on.
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

    def admits(self, quantization: str) -> bool:
        """Tells whether files of a precision may be chosen."""
        return self.quantization in (None, quantization)

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
            over["min_top1"] = 1 - model.choice_top1 / self.min_top1
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
