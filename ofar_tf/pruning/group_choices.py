"""The user's say in what is pruned: a JSON file of the channel groups, written, edited and read back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ofar_tf.files import atomic_file
from ofar_tf.files.json_values import read_json
from ofar_tf.pruning.channel_groups import ChannelGroups

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class GroupChoices:
    """What the user decided about the groups of a model.

    Attributes:
        sizes: How many channels each group of the model had when the file was written.
        excluded: Groups that must not be pruned.
        floors: The least number of channels to keep, for the groups that have a floor of their own.

    Raises:
        ValueError: If a choice is about a group that is not there, or a floor is out of range.
    """

    sizes: Mapping[str, int] = field(default_factory=dict)
    excluded: frozenset[str] = frozenset()
    floors: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = sorted((self.excluded | set(self.floors)) - set(self.sizes))
        if unknown:
            raise ValueError(f"Expected choices about the groups listed. Received: unknown groups {unknown}.")
        for name, floor in self.floors.items():
            if not 1 <= floor <= self.sizes[name]:
                raise ValueError(
                    f"Expected min_channels from 1 to {self.sizes[name]} for group {name!r}. Received: {floor}."
                )


def write_group_choices(path: Path, groups: ChannelGroups) -> None:
    """Writes the groups of a model for a person to edit: set `prune` to false, or `min_channels` to a number.

    Args:
        path: The JSON file. It must not exist yet: an edited one is never overwritten.
        groups: What `find_channel_groups` found.

    Raises:
        FileExistsError: If the file exists.
    """
    if path.exists():
        raise FileExistsError(f"Expected the name of a new file. Received: {path}, which exists.")
    entries = [
        {"name": group.name, "channels": group.size, "layers": group.layers, "prune": True, "min_channels": None}
        for group in groups.groups
    ]
    unprunable = [{"name": e.name, "channels": e.size, "reason": e.reason} for e in groups.unprunable]
    content = {"schema_version": SCHEMA_VERSION, "groups": entries, "unprunable": unprunable}
    atomic_file.write_text(path, json.dumps(content, indent=1) + "\n")


def read_group_choices(path: Path) -> GroupChoices:
    """Reads an edited file of `write_group_choices`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such file, or a choice makes no sense.
    """
    if not path.is_file():
        raise FileNotFoundError(f"Expected a file of channel groups. Received: {path}, which does not exist.")
    try:
        content = read_json(path)
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema version {content['schema_version']}, not {SCHEMA_VERSION}")
        entries = [_checked(entry) for entry in content["groups"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"Expected channel groups as --write_groups writes them in {path}. Received: {error}."
        ) from error
    return GroupChoices(
        sizes={entry["name"]: entry["channels"] for entry in entries},
        excluded=frozenset(entry["name"] for entry in entries if not entry["prune"]),
        floors={entry["name"]: entry["min_channels"] for entry in entries if entry["min_channels"] is not None},
    )


def _checked(entry: Any) -> dict[str, Any]:
    kinds = {"name": str, "channels": int, "prune": bool, "min_channels": int | None}
    for name, kind in kinds.items():
        if not isinstance(entry[name], kind):
            raise TypeError(f"{name}={entry[name]!r} in group {entry.get('name')!r}")
    return entry
