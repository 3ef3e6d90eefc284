"""A finished classification run whose network is the body of a detector."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ofar_tf.files.json_values import read_json
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.costs import Costs
from ofar_tf.run.config_file import read_config
from ofar_tf.run.run_dir import RunDir
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.text.size import Size

_SAME = ("model", "width_multiplier", "small_images", "prune_residual_stream")


@dataclass(frozen=True)
class BodyRun:
    """A run that a detector takes weights and structures from.

    Attributes:
        config: The settings of the detector, with a `backbone_run_dir`.

    Raises:
        FileNotFoundError: If the run is not there or not finished.
        ValueError: If it is one of another network or task.
    """

    config: TrainConfig

    def __post_init__(self) -> None:
        theirs = read_config(self._run_dir.config)
        if theirs.detects:
            raise ValueError(f"Expected a classification run in --backbone_run_dir. Received: {self._run_dir.path}.")
        for name in _SAME:
            if getattr(theirs, name) != getattr(self.config, name):
                raise ValueError(
                    f"Expected --{name}={getattr(theirs, name)}, as the run in --backbone_run_dir has it. "
                    f"Received: {getattr(self.config, name)}."
                )
        if not self._run_dir.supernet.exists():
            raise FileNotFoundError(
                f"Expected a finished run in --backbone_run_dir. Received: no {self._run_dir.supernet}."
            )

    @property
    def _run_dir(self) -> RunDir:
        return RunDir(Path(str(self.config.backbone_run_dir)))

    @property
    def weights(self) -> str:
        """The path of its weights."""
        return str(self._run_dir.supernet)

    def masks(self, groups: ChannelGroups, *, size: Size) -> Sequence[ChannelMask]:
        """Reads its structures as those of the detector: groups of layers that a detector leaves out are dropped.

        Args:
            groups: The detector's groups.
            size: What they are ordered by the costs at.

        Returns:
            The masks, the most expensive first.

        Raises:
            ValueError: If the run has structures of other groups.
        """
        path, names = self._run_dir.pool, {group.name for group in groups.groups}
        try:
            kept = [dict(structure["kept"]) for structure in read_json(path)["structures"]]
            masks = [
                ChannelMask.from_kept(groups.groups, {name: each[name] for name in each if name in names})
                for each in kept
            ]
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise ValueError(f"Expected the structures of this body in {path}. Received: {error}") from error
        costs = Costs(groups)
        order = np.argsort([-costs.macs(mask, size) for mask in masks], kind="stable")
        return [masks[index] for index in order]
