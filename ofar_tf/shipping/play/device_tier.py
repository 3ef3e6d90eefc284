"""A tier of devices: which devices belong to it and what a file may cost there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ofar_tf.conversion.precision import precision_named
from ofar_tf.shipping.selection import Limits
from ofar_tf.text.quantities import format_quantity, parse_quantity

OTHER = "other"
"""Play's own group: every device that is in no declared group."""

_LEAST_RAM = 256_000_000
_CONDITIONS = ("min_ram", "soc", "device")
_LIMITS = ("max_macs", "max_bytes", "max_latency_ms", "measured_on", "precision")
_KEYS = (*_CONDITIONS, *_LIMITS, "budget_ms")


@dataclass(frozen=True)
class DeviceTier:
    """Devices that receive the same files.

    A device belongs to the tier if it meets every condition; a tier without conditions takes every device.

    Attributes:
        name: Lower case letters, digits and underscores, a letter first; the name of the device group.
        limits: What a file may cost, its precision included; at least one of its limits is a cost.
        min_ram: Least memory, in bytes as Play counts them (6 GB are 6,000,000,000); None for any.
        socs: Systems on chip as (manufacturer, model), Android's `Build.SOC_MANUFACTURER` and `Build.SOC_MODEL`, of
            which the device has one; empty for any. Only devices with Android 12 or newer say what they have.
        devices: Device models as (brand, device), of which it is one; device is "" for all of a brand. Empty for any.
        budget_ms: Median latency on the device, in milliseconds, above which the app steps down; None for never.
    """

    name: str
    limits: Limits
    min_ram: int | None = None
    socs: tuple[tuple[str, str], ...] = ()
    devices: tuple[tuple[str, str], ...] = ()
    budget_ms: float | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name) or self.name == OTHER:
            raise ValueError(
                f"Expected a tier's name of lower case letters, digits and underscores, a letter first, not {OTHER}, "
                f"which is Play's own. Received: {self.name!r}."
            )
        if self.min_ram is not None and self.min_ram < _LEAST_RAM:
            raise ValueError(f"Expected min_ram in bytes, such as 6G. Received: {self.min_ram} in tier {self.name}.")
        costs = (self.limits.max_macs, self.limits.max_bytes, self.limits.max_latency_ms)
        if all(cost is None for cost in costs):
            raise ValueError(
                "Expected a budget for each tier: max_macs, max_bytes or max_latency_ms. "
                f"Received: none in tier {self.name}."
            )
        if self.budget_ms is not None and not 0 < self.budget_ms < float("inf"):
            raise ValueError(f"Expected a finite, positive budget_ms. Received: {self.budget_ms} in tier {self.name}.")

    @property
    def is_default(self) -> bool:
        """Whether every device belongs to it."""
        return self.min_ram is None and not self.socs and not self.devices

    @property
    def group(self) -> str:
        """The device group: the tier's name, `other` for the default tier."""
        return OTHER if self.is_default else self.name

    @property
    def conditions(self) -> str:
        """Its devices in words, for people."""
        ram = [f"RAM >= {format_quantity(self.min_ram)}"] if self.min_ram else []
        lists = [[f"{maker}/{model or '*'}" for maker, model in pairs] for pairs in (self.socs, self.devices) if pairs]
        return " and ".join(ram + [" or ".join(names) for names in lists]) or "every other"


def parse_tiers(texts: Sequence[str]) -> tuple[DeviceTier, ...]:
    """Reads tiers such as `high:min_ram=6G:max_macs=300M`, `low:max_macs=50M`.

    Args:
        texts: The tiers, the one to prefer first. Each is a name and `key=value` behind colons: the conditions
            `min_ram` (bytes), `soc` and `device` (`MANUFACTURER/MODEL`, several with + between them); the costs
            `max_macs`, `max_bytes` and `max_latency_ms`, beside the last `measured_on`: the device in the manifest
            whose latency counts (by default the slowest); `precision` (int8 by default); and `budget_ms`, by default
            `max_latency_ms`. Quantities take K, M and G.

    Returns:
        The tiers; only the last is without conditions.

    Raises:
        ValueError: If a text is no tier, two have the same name, one can never match, or the default tier is not last.
    """
    tiers = tuple(_parse_tier(text) for text in texts)
    if [tier.is_default for tier in tiers] != [False] * (len(tiers) - 1) + [True] or len(tiers) < 2:
        raise ValueError(
            "Expected tiers with a condition (min_ram, soc or device) and then one without, for every other device. "
            f"Received: {','.join(texts) or 'none'}."
        )
    names = [tier.name for tier in tiers]
    if len(set(names)) < len(names):
        raise ValueError(f"Expected tiers of different names. Received: {','.join(names)}.")
    for tier, later in ((tier, later) for i, tier in enumerate(tiers) for later in tiers[i + 1 : -1]):
        if not tier.socs and not tier.devices and (tier.min_ram or 0) <= (later.min_ram or 0):
            raise ValueError(
                "Expected the larger min_ram first, since a device takes the first tier it fits. "
                f"Received: {later.name} behind {tier.name}, which takes all its devices."
            )
    return tiers


def _parse_tier(text: str) -> DeviceTier:
    name, *fields = text.split(":")
    values = dict(_parse_field(field, text=text) for field in fields)
    if len(values) < len(fields):
        raise ValueError(f"Expected each key of a tier once. Received: {text!r}.")
    if "measured_on" in values and "max_latency_ms" not in values:
        raise ValueError(f"Expected max_latency_ms beside measured_on. Received: {text!r}.")
    counts = {key: parse_quantity(values[key]) for key in ("min_ram", "max_macs", "max_bytes") if key in values}
    latency = _milliseconds(values.get("max_latency_ms"), text=text)
    precision = values.get("precision", "int8")
    precision_named(precision)
    budget = _milliseconds(values.get("budget_ms"), text=text)
    limits = Limits(
        max_macs=counts.get("max_macs"),
        max_bytes=counts.get("max_bytes"),
        max_latency_ms=latency,
        quantization=precision,
        device=values.get("measured_on"),
    )
    return DeviceTier(
        name,
        limits,
        min_ram=counts.get("min_ram"),
        socs=_pairs(values.get("soc"), text=text, whole=True),
        devices=_pairs(values.get("device"), text=text, whole=False),
        budget_ms=budget if budget is not None else latency,
    )


def _parse_field(field: str, *, text: str) -> tuple[str, str]:
    key, equals, value = field.partition("=")
    if key not in _KEYS or not equals or not value:
        raise ValueError(f"Expected KEY=VALUE with {', '.join(_KEYS)}. Received: {field!r} in tier {text!r}.")
    return key, value


def _milliseconds(value: str | None, *, text: str) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError as error:
        raise ValueError(f"Expected milliseconds, such as 33 or 8.5. Received: {value!r} in tier {text!r}.") from error


def _pairs(value: str | None, *, text: str, whole: bool) -> tuple[tuple[str, str], ...]:
    # Only the first slash separates: some chips have one in their model.
    parts = [entry.strip().partition("/") for entry in value.split("+")] if value else []
    pairs = tuple((first, second) for first, _, second in parts)
    if any(not first or (whole and not second) for first, second in pairs):
        raise ValueError(
            "Expected soc=MANUFACTURER/MODEL and device=BRAND/DEVICE, several with + between them. "
            f"Received: {value!r} in tier {text!r}."
        )
    return pairs
