"""What was found in a model: its channel groups and what cannot be pruned, for people to read."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import prod
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ofar_tf.models.layer_copy import copy_of
from ofar_tf.models.opening import is_closed, obstacle
from ofar_tf.pruning.channel_group import ChannelGroup
from ofar_tf.pruning.channel_groups import ChannelGroups, WeightChannels
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.costs import Costs
from ofar_tf.text.quantities import format_quantity
from ofar_tf.text.size import Resolution


@dataclass(frozen=True)
class ExplainedGroup:
    """One channel group in words and numbers.

    Attributes:
        name: The group's name.
        channels: How many channels it has.
        layers: The layers whose weights its channels index.
        norms: The BatchNorms that rank them, or the kernels where these have no scale.
        macs: Multiply-adds that its channels take part in, counted once for each channel.
        why: What was found out about its channels on the way.
    """

    name: str
    channels: int
    layers: tuple[str, ...]
    norms: tuple[str, ...]
    macs: int
    why: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeptChannels:
    """Channels that stay whole, in words and numbers.

    Attributes:
        name: The layer that has them first, or the kind of layers.
        channels: How many there are.
        macs: Multiply-adds that no mask can save because of them. Of those between two such runs each gets half.
        reason: Why they stay.
        why: What was found out about them on the way.
    """

    name: str
    channels: int
    macs: float
    reason: str
    why: tuple[str, ...] = ()


def explain_groups(groups: ChannelGroups, *, resolution: Resolution) -> list[ExplainedGroup]:
    """Describes the prunable groups of a model.

    Args:
        groups: What `find_channel_groups` found.
        resolution: Where MACs are counted.

    Returns:
        One entry per group, in the order of the graph.
    """
    saved = Costs(groups).macs_per_channel(resolution)

    def explained(group: ChannelGroup) -> ExplainedGroup:
        ranking = group.gammas or [weight for weight, _ in group.kernels]
        norms = tuple(groups.weights[index].path.rsplit("/", 1)[0] for index in ranking)
        macs = round(saved[group.channels].sum())
        why = group.notes or ("it comes out of one kernel and goes into the next",)
        return ExplainedGroup(group.name, group.size, group.layers, norms, macs, why)

    return [explained(group) for group in groups.groups]


def explain_rest(groups: ChannelGroups, *, resolution: Resolution) -> list[KeptChannels]:
    """Lists what keeps the multiply-adds that no mask can save.

    Args:
        groups: What `find_channel_groups` found.
        resolution: Where MACs are counted.

    Returns:
        What stays whole, what keeps most first. The MACs add up to those of a network without any prunable channel.
    """
    kernels, unknown = Costs(groups).kernels(resolution)
    macs = np.zeros(len(groups.unprunable))
    for weight, positions in kernels:
        macs += positions * _kept_entries(groups.weights[weight], len(macs))
    rest = [
        KeptChannels(entry.name, entry.size, float(kept), entry.reason, entry.notes)
        for entry, kept in zip(groups.unprunable, macs, strict=True)
    ]
    if unknown:
        reason = "what they compute is not known"
        rest.append(KeptChannels("layers unknown to the library", 0, float(unknown), reason, _closed_layers(groups)))
    return sorted(rest, key=lambda entry: -entry.macs)


def _closed_layers(groups: ChannelGroups) -> tuple[str, ...]:
    """Says of each class of the user's with weights, of the first layer of it, why it could not be opened."""
    first: dict[type, Any] = {}
    for call in groups.calls:
        if is_closed(call.operation) and call.operation.weights:
            first.setdefault(type(call.operation), call)
    told = {
        f"{kind.__name__} {call.operation.name!r}": obstacle(copy_of(call.operation), call.args, call.kwargs)
        for kind, call in first.items()
    }
    return tuple(f"{title} stays closed: {why}" for title, why in told.items() if why)


def _kept_entries(weight: WeightChannels, count: int) -> np.ndarray:
    """Returns float `[count]`: the entries of a kernel that always stay, shared out among what keeps them."""
    kept = {axis: np.bincount(runs[runs >= 0], minlength=count) for axis, runs in weight.kept.items()}
    sizes = [kept[axis].sum() if axis in kept else size for axis, size in enumerate(weight.shape)]
    if not kept or not prod(sizes):
        return np.zeros(count)
    return prod(sizes) * sum(runs / runs.sum() for runs in kept.values()) / len(kept)


@dataclass(frozen=True)
class Explanation:
    """What can be pruned in a model and what cannot; `str` and notebooks show it as tables.

    Attributes:
        prunable: The channel groups, in the order of the graph.
        kept: What stays whole, what keeps most multiply-adds first.
        macs: Multiply-adds of the whole network for one image.
        resolution: Where they are counted.
    """

    prunable: tuple[ExplainedGroup, ...]
    kept: tuple[KeptChannels, ...]
    macs: int
    resolution: Resolution

    @property
    def prunable_share(self) -> float:
        """The share of the multiply-adds, in [0, 1], that goes if all prunable channels go."""
        return 1.0 - sum(entry.macs for entry in self.kept) / self.macs

    def print(self, console: Console) -> None:
        """Prints one row per group, the share of MACs that can be pruned, and what keeps the rest with the reasons."""
        channels = sum(row.channels for row in self.prunable)
        table = Table(title=f"{channels} prunable channels in {len(self.prunable)} groups")
        for name in ("group", "channels", "MACs", "layers", "ranked by", "why"):
            table.add_column(name, justify="right" if name in ("channels", "MACs") else "left")
        for row in self.prunable:
            counts = str(row.channels), format_quantity(row.macs)
            table.add_row(row.name, *counts, _few(row.layers), _few(row.norms), _few(row.why, separator="; "))
        console.print(table)
        whole = format_quantity(self.macs)
        console.print(f"{self.prunable_share:.1%} of the {whole} MACs at {self.resolution} px can be pruned.")
        self._print_kept(console)

    def _print_kept(self, console: Console) -> None:
        table = Table(title="What stays whole, what keeps most first")
        for name in ("layer", "channels", "MACs", "reason", "why"):
            table.add_column(
                name, justify="right" if name in ("channels", "MACs") else "left", no_wrap=name == "reason"
            )
        for entry in self.kept:
            counts = str(entry.channels or ""), format_quantity(round(entry.macs))
            table.add_row(entry.name, *counts, entry.reason, _few(entry.why, separator="; "))
        console.print(table)

    def __str__(self) -> str:
        console = Console(width=140, record=True, file=io.StringIO())
        self.print(console)
        return "\n".join(line.rstrip() for line in console.export_text().splitlines())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def explain(groups: ChannelGroups, *, resolution: Resolution) -> Explanation:
    """Says what was found in a model.

    Args:
        groups: What `find_channel_groups` found.
        resolution: Where MACs are counted.
    """
    return Explanation(
        prunable=tuple(explain_groups(groups, resolution=resolution)),
        kept=tuple(explain_rest(groups, resolution=resolution)),
        macs=Costs(groups).macs(ChannelMask.full(groups), resolution),
        resolution=resolution,
    )


def _few(names: Sequence[str], *, separator: str = ", ") -> str:
    shown = separator.join(names if len(names) <= 4 else names[:3])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 3} more"
