"""Which channels make a prunable group, which stay, and what a layer that the library does not know has cost."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras

from ofar_tf.pruning.channel_group import ChannelGroup, UnprunableChannels
from ofar_tf.pruning.propagation import Propagation
from ofar_tf.text.patterns import matches

UNRANKED = "no BatchNormalization ranks it"
_OUTSIDE = "it is behind the part of the model that is pruned"


class GroupSorter:
    """Numbers prunable channels group by group, and puts the others aside.

    Args:
        weights: The weights of the traced model.
        found: What the rules found out.
        reasons: Why channels must stay, by merged channel.
        names: The first layer to have each merged channel.
        notes: What was found out about each merged channel on the way.
        weight_index: The position of each weight in `weights`, by its id.
        excluded: Names of groups that must not be pruned.
        outside: Patterns of the names of layers whose channels must not be pruned.
        by_kernels: Whether the kernels that make them rank channels that no BatchNorm sees.

    Attributes:
        groups: The prunable groups so far.
        unprunable: What stays, so far.
        numbers: The number of each prunable merged channel.
        kept: The position in `unprunable` of each merged channel that stays.
        taken: The names of all groups, excluded ones included.
    """

    def __init__(
        self,
        weights: Sequence[keras.Variable],
        *,
        found: Propagation,
        reasons: Mapping[int, str],
        names: Mapping[int, str],
        notes: Mapping[int, Sequence[str]],
        weight_index: Mapping[int, int],
        excluded: frozenset[str],
        outside: tuple[str, ...] = (),
        by_kernels: bool = False,
    ):
        self._weights, self._reasons, self._names, self._notes = weights, reasons, names, notes
        self._gammas = {weight_index[gamma] for gamma in found.gammas}
        self._unscaled = {weight_index[norm] for norm in found.unscaled}
        self._feeders = {(weight_index[kernel], axis) for kernel, axis in found.feeders}
        self._blocked = {reason for _, reason in found.blocked}
        self._excluded, self._outside, self._by_kernels = excluded, outside, by_kernels
        self.taken: set[str] = set()
        self.groups: list[ChannelGroup] = []
        self.unprunable: list[UnprunableChannels] = []
        self.numbers: dict[int, int] = {}
        self.kept: dict[int, int] = {}
        self._ranked_losses: Counter[str] = Counter()
        self._other_losses: Counter[str] = Counter()
        self._read: set[str] = set()

    def add_all(self, by_places: Mapping[tuple[frozenset[tuple[int, int]], Any], Sequence[int]]) -> Self:
        """Takes channels by what they index, each run of them to be one group or none."""
        for (places, _), channels in by_places.items():
            self.add(places, channels)
        return self

    def add(self, places: frozenset[tuple[int, int]], channels: Sequence[int]) -> None:
        """Takes the channels that index the same (weight, axis) pairs."""
        name = self._names.get(channels[0], "input")
        notes = tuple(dict.fromkeys(note for channel in channels for note in self._notes.get(channel, ())))
        ranked = tuple(sorted(weight for weight, _ in places if weight in self._gammas))
        unscaled = not ranked and (self._by_kernels or any(weight in self._unscaled for weight, _ in places))
        kernels = tuple(sorted(places & self._feeders)) if unscaled else ()
        reason = next((self._reasons[channel] for channel in channels if channel in self._reasons), "")
        if reason or not (ranked or kernels):
            self._keep(UnprunableChannels(name, len(channels), reason or UNRANKED, notes), channels)
            if reason in self._blocked:
                self._count_loss(reason, places, channels, is_ranked=bool(ranked or kernels))
            return
        if matches(name, self._outside):
            self._keep(UnprunableChannels(name, len(channels), _OUTSIDE, notes), channels)
            return
        unique = self._unique(name)
        if unique in self._excluded:
            self._keep(UnprunableChannels(unique, len(channels), "it was excluded by hand", notes), channels)
            return
        start = len(self.numbers)
        self.numbers.update({channel: start + position for position, channel in enumerate(channels)})
        layers = tuple(dict.fromkeys(self._weights[weight].path.rsplit("/", 1)[0] for weight, _ in sorted(places)))
        self.groups.append(ChannelGroup(unique, start, len(channels), layers, ranked, kernels, notes))

    def _count_loss(
        self, reason: str, places: frozenset[tuple[int, int]], channels: Sequence[int], *, is_ranked: bool
    ) -> None:
        if is_ranked:
            self._ranked_losses[reason] += len(channels)
        elif places & self._feeders:
            self._other_losses[reason] += len(channels)
        else:  # What the layer gives is read by a kernel.
            self._read.add(reason)

    @property
    def lost(self) -> Counter[str]:
        """How many channels each layer that the library cannot follow has cost.

        Where nothing ranks them, they count only if a kernel reads on: what is said of the last layers costs nothing.
        """
        between = {reason: count for reason, count in self._other_losses.items() if reason in self._read}
        return self._ranked_losses + Counter(between)

    def _keep(self, entry: UnprunableChannels, channels: Sequence[int]) -> None:
        self.kept.update(dict.fromkeys(channels, len(self.unprunable)))
        self.unprunable.append(entry)

    def _unique(self, name: str) -> str:
        unique, count = name, 1
        while unique in self.taken:
            count += 1
            unique = f"{name}_{count}"
        self.taken.add(unique)
        return unique
