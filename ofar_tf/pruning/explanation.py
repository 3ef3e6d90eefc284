"""What was found in a model: its channel groups and what cannot be pruned, for people to read."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from ofar_tf.data.size import Resolution
from ofar_tf.pruning.channel_groups import ChannelGroup, ChannelGroups
from ofar_tf.pruning.costs import Costs
from ofar_tf.text.quantities import format_quantity
from ofar_tf.text.tables import table_console


@dataclass(frozen=True)
class ExplainedGroup:
    """One channel group in words and numbers.

    Attributes:
        name: The group's name.
        channels: How many channels it has.
        layers: The layers whose weights its channels index.
        norms: The BatchNorms that rank them.
        macs: Multiply-adds that its channels take part in, counted once for each channel.
    """

    name: str
    channels: int
    layers: tuple[str, ...]
    norms: tuple[str, ...]
    macs: int


def explain_groups(groups: ChannelGroups, *, resolution: Resolution) -> list[ExplainedGroup]:
    """Describes the prunable groups of a model.

    Args:
        groups: What `find_channel_groups` found.
        resolution: Where MACs are counted, in pixels.

    Returns:
        One entry per group, in the order of the graph.
    """
    saved = Costs(groups).macs_per_channel(resolution)

    def explained(group: ChannelGroup) -> ExplainedGroup:
        norms = tuple(groups.weights[index].path.rsplit("/", 1)[0] for index in group.gammas)
        return ExplainedGroup(group.name, group.size, group.layers, norms, round(saved[group.channels].sum()))

    return [explained(group) for group in groups.groups]


def print_explanation(groups: ChannelGroups, *, resolution: Resolution, console: Console | None = None) -> None:
    """Prints one row per group, and one per run of channels that cannot be pruned, with the reason.

    Args:
        groups: What `find_channel_groups` found.
        resolution: Where MACs are counted, in pixels.
        console: Where to; standard output by default.
    """
    console = console or table_console()
    table = Table(title=f"{groups.size} prunable channels in {len(groups.groups)} groups")
    for name in ("group", "channels", "MACs", "layers", "ranked by"):
        table.add_column(name, justify="right" if name in ("channels", "MACs") else "left")
    for row in explain_groups(groups, resolution=resolution):
        table.add_row(row.name, str(row.channels), format_quantity(row.macs), _few(row.layers), _few(row.norms))
    console.print(table)
    kept = Table(title="What stays whole")
    for name in ("layer", "channels", "reason"):
        kept.add_column(name, justify="right" if name == "channels" else "left")
    for entry in groups.unprunable:
        kept.add_row(entry.name, str(entry.size), entry.reason)
    console.print(kept)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"
