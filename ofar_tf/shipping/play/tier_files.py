"""The files that the devices of one tier receive: the best one, and cheaper ones to step down to."""

from dataclasses import dataclass, replace

from ofar_tf.family.manifest import Manifest, ModelEntry
from ofar_tf.shipping.play.device_tier import DeviceTier
from ofar_tf.shipping.selection import best_of, choose, rank
from ofar_tf.tasks.scores import Metric

_STEP = 0.75


@dataclass(frozen=True)
class TierFiles:
    """A tier and its files.

    Attributes:
        tier: The tier.
        models: The best file within its limits, and then those to step down to, each cheaper than the one before.
        metric: What they are compared by.
    """

    tier: DeviceTier
    models: tuple[ModelEntry, ...]
    metric: Metric


def choose_files(manifest: Manifest, tier: DeviceTier, *, steps_down: int, prefer: str = "size") -> TierFiles:
    """Chooses the files of a tier, among those that passed their checks.

    Args:
        manifest: The files of an export.
        tier: The devices.
        steps_down: How many cheaper files they receive too. Each is the best one of at most 3/4 of the
            multiply-adds of the one before: a smaller step would hardly be felt on a phone that is too slow. Where
            there is no such file there are fewer, and none where the tier has no `budget_ms` and so never steps down.
        prefer: `size` or `accuracy`, see `best_of`.

    Returns:
        The choice.

    Raises:
        ValueError: If no file fits the tier's limits.
    """
    try:
        models = choose(manifest, tier.limits, prefer=prefer)[:1]
    except ValueError as error:
        raise ValueError(f"In tier {tier.name}: {error}") from error
    # The phone measures these itself, so they need no measurement in the manifest.
    cheaper = rank(manifest, replace(tier.limits, max_latency_ms=None), prefer=prefer)
    for _ in range(steps_down if tier.budget_ms else 0):
        steps = [model for model in cheaper if model.macs <= _STEP * models[-1].macs]
        if not steps:
            break
        models.append(best_of(steps, prefer=prefer))
    return TierFiles(tier, tuple(models), manifest.metric)
