"""The Pruned Network Pool (PNP): the structures that the search has frozen."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask

SCHEMA_VERSION = 1


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
        content = json.loads(path.read_text())
        version = content["schema_version"]
        if version != SCHEMA_VERSION:
            raise ValueError(f"Expected {path} of schema version {SCHEMA_VERSION}. Received: {version!r}.")
        networks = [
            PrunedNetwork(mask=ChannelMask.from_kept(groups.groups, entry.pop("kept")), **entry)
            for entry in content["structures"]
        ]
    except (AttributeError, KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"Expected a pruned network pool in {path}. Received: {error!r}.") from error
    return PrunedNetworkPool(tuple(networks))
