"""Which file to ship under given limits."""

from dataclasses import dataclass, fields

from ofar_tf.deploy.manifest import Manifest, ModelEntry


@dataclass(frozen=True)
class Limits:
    """What a file may cost and must reach; None where there is no limit.

    Attributes:
        max_macs: Most multiply-adds of one image.
        max_bytes: Largest file.
        min_top1: Lowest top-1 accuracy, in 0..1.
        max_latency_ms: Longest median latency in milliseconds, on every device it was measured on; a file that was
            never measured does not fit.
        quantization: The only precision that may be chosen.
    """

    max_macs: int | None = None
    max_bytes: int | None = None
    min_top1: float | None = None
    max_latency_ms: float | None = None
    quantization: str | None = None

    def __post_init__(self) -> None:
        for name in ("max_macs", "max_bytes", "max_latency_ms"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise ValueError(f"Expected a positive limit. Received: {name}={value}.")
        if self.min_top1 is not None and not 0 <= self.min_top1 <= 1:
            raise ValueError(f"Expected an accuracy in 0..1. Received: min_top1={self.min_top1}.")

    def excess(self, model: ModelEntry) -> float:
        """Says by how much a file misses the limits.

        Args:
            model: A file.

        Returns:
            The sum of what it is over each limit (or under the accuracy), as shares of that limit; 0 exactly if it
            fits.
        """
        latency = max((measured.median_ms for measured in model.latency), default=float("inf"))
        pairs = ((model.macs, self.max_macs), (model.bytes, self.max_bytes), (latency, self.max_latency_ms))
        over = sum(max(0.0, value / limit - 1) for value, limit in pairs if limit is not None)
        return over + (max(0.0, 1 - model.top1 / self.min_top1) if self.min_top1 else 0.0)

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
) -> ModelEntry:
    """Chooses the most accurate file within limits, among those that passed their checks.

    Args:
        manifest: The files of an export.
        max_macs: Most multiply-adds of one image.
        max_bytes: Largest file.
        min_top1: Lowest top-1 accuracy, in 0..1.
        max_latency_ms: Longest median latency in milliseconds, on every device it was measured on.
        quantization: The only precision that may be chosen.

    Returns:
        The file, the first of `rank`.

    Raises:
        ValueError: If nothing fits; it names the file that misses the limits by least.
    """
    limits = Limits(max_macs, max_bytes, min_top1, max_latency_ms, quantization)
    ranked = rank(manifest, limits)
    if ranked:
        return ranked[0]
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


def _candidates(manifest: Manifest, limits: Limits) -> list[ModelEntry]:
    return [
        model for model in manifest.models if model.checks.passed and limits.quantization in (None, model.quantization)
    ]
