"""What a killed run continues from: one file per epoch, whole or absent."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ofar_tf import atomic_file
from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.training.once_for_all import OnceForAll

_NAME = re.compile(r"epoch_(\d{5})\.npz")


class Checkpoints:
    """Keeps the last checkpoints of a run in a folder.

    A checkpoint is a NumPy archive: it can be read without this library, and its checksums tell a damaged one.

    Args:
        directory: The folder, made when the first checkpoint is saved.
        keep: How many checkpoints to keep, at least 1; the older one is the way on if the newer is damaged.
    """

    def __init__(self, directory: Path, *, keep: int = 2):
        if keep < 1:
            raise ValueError(f"Expected to keep at least one checkpoint. Received: keep={keep}.")
        self.directory = directory
        self.keep = keep

    def save(self, epoch: int, state: Mapping[str, np.ndarray]) -> None:
        """Writes the state after an epoch and removes the checkpoints that are too old.

        Args:
            epoch: How many epochs are done.
            state: Arrays by name.
        """
        with atomic_file.replacing(self.directory / f"epoch_{epoch:05d}.npz") as path:
            np.savez(path, allow_pickle=False, **state)
        for old in sorted(self._files())[: -self.keep]:
            self._files()[old].unlink()

    def latest(self) -> tuple[int, dict[str, np.ndarray]] | None:
        """Returns the newest undamaged checkpoint, as (epochs done, state); `None` if there was never any.

        Raises:
            ValueError: If there are checkpoints and all are damaged.
        """
        files = self._files()
        for epoch in sorted(files, reverse=True):
            try:
                with np.load(files[epoch]) as archive:
                    return epoch, dict(archive)
            except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
                print(f"Warning: {files[epoch]} is damaged ({error}); trying the one before.")
        if files:
            raise ValueError(
                f"Expected a readable checkpoint in {self.directory}. Received: damaged ones only; remove the folder "
                "to begin the run anew."
            )
        return None

    def _files(self) -> dict[int, Path]:
        paths = self.directory.glob("epoch_*.npz") if self.directory.is_dir() else ()
        return {int(match[1]): path for path in paths if (match := _NAME.fullmatch(path.name))}


def training_state(model: OnceForAll, search: MaskSearch) -> dict[str, np.ndarray]:
    """Gathers all that a run's future depends on, besides its configuration and the epoch.

    Args:
        model: The trainer.
        search: Its search callback.
    """
    weights = {f"weights/{index}": np.asarray(weight) for index, weight in enumerate(model.supernet.weights)}
    slots = {f"optimizer/{index}": np.asarray(slot) for index, slot in enumerate(model.optimizer.variables)}
    return {**weights, **slots, "search/masks": search.state(), "search/steps": np.asarray(model.search_steps)}


def restore_training(model: OnceForAll, search: MaskSearch, state: Mapping[str, np.ndarray]) -> None:
    """Puts a trainer and its search back into a saved state.

    Args:
        model: A freshly built and compiled trainer.
        search: A fresh search callback.
        state: What `training_state` gathered.

    Raises:
        ValueError: If the state is that of another model.
    """
    _assign("weights", model.supernet.weights, state)
    _assign("optimizer", model.optimizer.variables, state)
    search.set_model(model)
    search.restore(state["search/masks"])
    # Freezing again has set it to the present step.
    model.search_steps.assign(state["search/steps"])


def _assign(prefix: str, variables: Any, state: Mapping[str, np.ndarray]) -> None:
    for index, variable in enumerate(variables):
        value = state.get(f"{prefix}/{index}")
        if value is None or value.shape != tuple(variable.shape):
            raise ValueError(
                f"Expected a checkpoint of this model, with {variable.path} of shape {tuple(variable.shape)}. "
                f"Received: {None if value is None else value.shape}."
            )
        variable.assign(value)
