"""Which file to ship under given limits, and why.

A difference of accuracy that the images cannot tell from noise is no reason to ship a larger file. So with
`prefer="size"`, the default, the choice is the smallest of the files whose accuracy is within the noise of the most
accurate one: within one standard error (`ofar_tf.tasks.uncertainty.noise_of`), about a point for 84 % on 1,000
images. `prefer="accuracy"` takes the measured figures as they are. Choices look at the selection split, if there was
one; what is printed is the accuracy on the evaluation split.
"""

import math
from collections.abc import Iterable

from ofar_tf.family.manifest import Manifest, ModelEntry
from ofar_tf.family.measured_latency import times_of
from ofar_tf.shipping.limits import Limits
from ofar_tf.shipping.reasons import reasons

__all__ = ["PREFERENCES", "Limits", "best_of", "choose", "explain", "rank"]


PREFERENCES = ("size", "accuracy")


def rank(manifest: Manifest, limits: Limits, *, prefer: str = "size") -> list[ModelEntry]:
    """Sorts the files that passed their checks and fit the limits, the one to ship first.

    Args:
        manifest: The files of an export.
        limits: What a file may cost and must reach.
        prefer: `size` or `accuracy`.

    Returns:
        Each file is the one to ship if those before it did not exist (`best_of`). Empty where nothing fits.

    Raises:
        ValueError: If the preference is neither.
    """
    left = [model for model in _candidates(manifest, limits) if limits.excess(model) == 0]
    ranked: list[ModelEntry] = []
    while left:
        ranked.append(best_of(left, prefer=prefer))
        left.remove(ranked[-1])
    return ranked


def best_of(models: Iterable[ModelEntry], *, prefer: str = "size") -> ModelEntry:
    """Chooses one of several files by accuracy and cost.

    Args:
        models: The files, at least one.
        prefer: `size`: the smallest file within the noise of the most accurate, at equal size the more accurate, then
            the one with fewer MACs. `accuracy`: the most accurate, at equal accuracy the one with fewer MACs, then the
            smaller.

    Returns:
        One of them.

    Raises:
        ValueError: If the preference is neither.
    """
    if prefer not in PREFERENCES:
        raise ValueError(f"Expected one of the preferences {', '.join(PREFERENCES)}. Received: prefer={prefer!r}.")
    most_accurate, *others = sorted(models, key=lambda model: (-model.merit, model.macs, model.bytes))
    if prefer == "accuracy":
        return most_accurate
    least = most_accurate.merit - most_accurate.choice_noise
    within = [most_accurate, *(model for model in others if model.merit >= least)]
    return min(within, key=lambda model: (model.bytes, -model.merit, model.macs))


def choose(manifest: Manifest, limits: Limits, *, prefer: str = "size") -> list[ModelEntry]:
    """Ranks the files within limits and refuses limits that nothing meets.

    Args:
        manifest: The files of an export.
        limits: What a file may cost and must reach.
        prefer: `size` or `accuracy`, see `best_of`.

    Returns:
        What `rank` gives, at least one file.

    Raises:
        ValueError: If nothing fits; it names the file that misses the limits by least. Also if nothing was measured on
            the device.
    """
    devices = dict.fromkeys(device for model in manifest.models for device, _ in times_of(model))
    if limits.device is not None and limits.device not in devices:
        raise ValueError(f"Expected one of the devices {list(devices)}. Received: device={limits.device!r}.")
    if ranked := rank(manifest, limits, prefer=prefer):
        return ranked
    candidates = _candidates(manifest, limits)
    if not candidates:
        raise ValueError(
            f"Expected a file with {limits}. "
            f"Received: none of the {len(manifest.models)} files is of that kind and passed its checks."
        )
    if limits.max_latency_ms is not None and not any(map(times_of, candidates)):
        raise ValueError(
            f"Expected a file with {limits}. Received: {len(candidates)} files whose latency is not known; "
            "ofar export times them with --latency_threads."
        )
    nearest = min(candidates, key=lambda model: (limits.excess(model), -model.merit, model.macs))
    score = nearest.metrics.best if nearest.metrics else math.nan
    latency = "".join(f", latency_ms={ms:g} on {device}" for (device, _), ms in times_of(nearest).items())
    raise ValueError(
        f"Expected a file with {limits}. Received: none of {len(candidates)} files; nearest is {nearest.path} "
        f"(macs={nearest.macs}, bytes={nearest.bytes}, {manifest.metric.key}={score:.4f}{latency})."
    )


def explain(manifest: Manifest, limits: Limits, *, prefer: str = "size") -> str:
    """Says why a file is chosen: what it costs, what the runner-up would change, and what was left out.

    Args:
        manifest: The files of an export.
        limits: What a file may cost and must reach.
        prefer: `size` or `accuracy`, see `best_of`.

    Returns:
        A few lines for people.

    Raises:
        ValueError: If nothing fits (`choose`).
    """
    winner, *others = choose(manifest, limits, prefer=prefer)
    return "\n".join(reasons(manifest, limits, winner=winner, others=others))


def _candidates(manifest: Manifest, limits: Limits) -> list[ModelEntry]:
    return [model for model in manifest.models if model.checks.passed and limits.admits(model)]
