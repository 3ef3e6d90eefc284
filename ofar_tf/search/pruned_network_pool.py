"""The Pruned Network Pool (PNP): the structures that the search has frozen."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from ofar_tf.files.json_values import from_json, read_json
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask

SCHEMA_VERSION = 1
_ROUNDING = 1e-9
# Structures name files.
_NAME = re.compile(r"[a-zA-Z0-9_]{1,100}")


@dataclass(frozen=True)
class PrunedNetwork:
    """One frozen structure.

    Attributes:
        name: Its name in files, for instance `macs107m` or `rate80`.
        rate: The share of prunable channels it removes, in [0, 1).
        mask: The channels it keeps.
        macs: Multiply-adds of one image at the largest resolution.
        params: Number of weights, moving statistics included.
        frozen_at_epoch: The epoch, counted from 1, after which it was frozen; 0 if no search was needed.
        converged: Whether its mask had stopped changing; if not, the search ran out of epochs.
    """

    name: str
    rate: float
    mask: ChannelMask
    macs: int
    params: int
    frozen_at_epoch: int
    converged: bool

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"Expected a name of letters, digits and underscores. Received: {self.name!r:.80}.")
        if not 0.0 <= self.rate < 1.0:
            raise ValueError(f"Expected a pruning rate in [0, 1). Received: rate={self.rate}.")
        if self.macs < 1 or self.params < 1 or self.frozen_at_epoch < 0:
            raise ValueError(
                "Expected positive costs and a non-negative epoch. "
                f"Received: macs={self.macs}, params={self.params}, frozen_at_epoch={self.frozen_at_epoch}."
            )


@dataclass(frozen=True)
class PrunedNetworkPool:
    """The frozen structures of one run, the largest first.

    Attributes:
        networks: At least two structures with different names, ordered by falling MACs.
    """

    networks: tuple[PrunedNetwork, ...]

    def __post_init__(self) -> None:
        names = [network.name for network in self.networks]
        if len(names) < 2 or len(set(names)) < len(names):
            raise ValueError(f"Expected at least two structures with different names. Received: {names}.")
        macs = [network.macs for network in self.networks]
        if macs != sorted(macs, reverse=True):
            raise ValueError(f"Expected structures ordered by falling MACs. Received: {macs}.")

    def __len__(self) -> int:
        return len(self.networks)

    def __iter__(self) -> Iterator[PrunedNetwork]:
        return iter(self.networks)

    def __getitem__(self, index: int) -> PrunedNetwork:
        return self.networks[index]

    @property
    def masks(self) -> Sequence[ChannelMask]:
        """The masks, the largest network's first."""
        return [network.mask for network in self.networks]

    def to_json(self) -> str:
        """Returns the text of `pool.json`."""
        structures = [
            {
                "name": network.name,
                "rate": network.rate,
                "macs": network.macs,
                "params": network.params,
                "frozen_at_epoch": network.frozen_at_epoch,
                "converged": network.converged,
                "kept": network.mask.kept(),
            }
            for network in self.networks
        ]
        return json.dumps({"schema_version": SCHEMA_VERSION, "structures": structures}, indent=1) + "\n"


def read_pool(path: Path, groups: ChannelGroups) -> PrunedNetworkPool:
    """Reads `pool.json`.

    Args:
        path: The file.
        groups: The channel groups of the supernet the pool was found in.

    Returns:
        The pool, equal to the one that was written.

    Raises:
        ValueError: If the file is no pool of this version, or belongs to another supernet.
        FileNotFoundError: If there is no such file.
    """
    try:
        content = read_json(path)
        version = content.get("schema_version") if isinstance(content, dict) else None
        if version not in (None, SCHEMA_VERSION):
            raise ValueError(f"Expected a file of schema version {SCHEMA_VERSION}. Received: {version!r:.80}.")
        stored: _StoredPool = from_json(_StoredPool, content, where=path.name)
        networks = [_network(each, groups, where=f"{path.name} of {each.name!r:.80}") for each in stored.structures]
        return PrunedNetworkPool(tuple(networks))
    except ValueError as error:
        raise ValueError(f"Expected a pruned network pool in {path}. Received: {error}") from error


@dataclass(frozen=True)
class _StoredNetwork:
    name: str
    rate: float
    macs: int
    params: int
    frozen_at_epoch: int
    converged: bool
    kept: Mapping[str, Any]


@dataclass(frozen=True)
class _StoredPool:
    schema_version: int
    structures: tuple[_StoredNetwork, ...]


def _network(stored: _StoredNetwork, groups: ChannelGroups, *, where: str) -> PrunedNetwork:
    kept = {
        group: from_json(tuple[int, ...], positions, where=f"{where}: {group}")
        for group, positions in stored.kept.items()
    }
    for group, positions in kept.items():
        if any(first >= second for first, second in pairwise(positions)):
            raise ValueError(f"Expected rising positions at {where}: {group}. Received: {list(positions)!r:.80}.")
    mask = ChannelMask.from_kept(groups.groups, kept)
    if abs(stored.rate - mask.rate) > _ROUNDING:
        raise ValueError(f"Expected the rate of the mask, {mask.rate}, at {where}. Received: {stored.rate}.")
    values = {field.name: getattr(stored, field.name) for field in fields(_StoredNetwork) if field.name != "kept"}
    return PrunedNetwork(mask=mask, **values)
