"""What a killed run continues from: one file per epoch, whole or absent."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ofar_tf.files import atomic_file
from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.training.once_for_all import OnceForAll

_NAME = re.compile(r"epoch_(\d{5,})\.npz")
_DIGEST = "sha256"


class Checkpoints:
    """Keeps the last checkpoints of a run in a folder.

    A checkpoint is a NumPy archive: it can be read without this library. Its array `sha256` is the digest of all others
    and their names, because the archive's own checksums do not cover its table of contents.

    Args:
        directory: The folder, made when the first checkpoint is saved.
        keep: How many checkpoints to keep, at least 1; the older one is the way on if the newer is damaged.

    Raises:
        ValueError: If none were kept.
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
            state: Arrays by name, of NumPy's own dtypes.

        Raises:
            NoRoomError: If there is no room for it; the older checkpoints are kept.
        """
        with atomic_file.replacing(self.directory / f"epoch_{epoch:05d}.npz") as path:
            np.savez(path, allow_pickle=False, **state, **{_DIGEST: _digest(state)})
        files = self._files()
        for old in sorted(files)[: -self.keep]:
            files[old].unlink()

    def latest(self) -> tuple[int, dict[str, np.ndarray]] | None:
        """Returns the newest undamaged checkpoint, as (epochs done, state); `None` if there was never any.

        Raises:
            ValueError: If there are checkpoints and all are damaged.
        """
        files = self._files()
        for epoch in sorted(files, reverse=True):
            try:
                return epoch, _read(files[epoch])
            except Exception as error:  # A flipped byte can make the zip and array readers raise almost anything.
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


def _read(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file, np.load(file) as archive:
        state = dict(archive)
    if not np.array_equal(state.pop(_DIGEST), _digest(state)):
        raise ValueError(f"its {_DIGEST} differs")
    return state


def _digest(state: Mapping[str, np.ndarray]) -> np.ndarray:
    """Computes the SHA-256 of names, types, shapes and values; uint8 `[32]`."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        array = np.asarray(value)
        digest.update(repr((name, array.dtype.str, array.shape)).encode())
        digest.update(array.tobytes())
    return np.frombuffer(digest.digest(), np.uint8)


def training_state(model: OnceForAll, search: MaskSearch) -> dict[str, np.ndarray]:
    """Gathers all that a run's future depends on, besides its configuration and the epoch.

    Args:
        model: The trainer, compiled.
        search: Its search callback.

    Returns:
        Arrays by name, for `Checkpoints.save` and `restore_training`.
    """
    values = {name: np.asarray(variable) for name, variable in _variables(model).items()}
    return {**values, "search/masks": search.state()}


def restore_training(model: OnceForAll, search: MaskSearch, state: Mapping[str, np.ndarray]) -> None:
    """Puts a trainer and its search back into a saved state.

    Args:
        model: A freshly built and compiled trainer.
        search: A fresh search callback.
        state: What `training_state` gathered.

    Raises:
        ValueError: If the state is that of another model; then nothing was changed.
    """
    variables = _variables(model)
    for name, variable in variables.items():
        if name not in state or state[name].shape != tuple(variable.shape):
            raise ValueError(
                f"Expected a checkpoint of this model, with {variable.path} of shape {tuple(variable.shape)}. "
                f"Received: {state[name].shape if name in state else 'none'}."
            )
    search.set_model(model)
    search.restore(state["search/masks"])
    # Last, because freezing the structures again sets the step at which the search ended to the present one.
    for name, variable in variables.items():
        variable.assign(state[name])


def _variables(model: OnceForAll) -> dict[str, Any]:
    weights = {f"weights/{index}": weight for index, weight in enumerate(model.supernet.weights)}
    own = {f"own_weights/{index}": weight for index, weight in enumerate(model.pool_weights.own)}
    slots = {f"optimizer/{index}": slot for index, slot in enumerate(model.optimizer.variables)}
    return {**weights, **own, **slots, "search/steps": model.search_steps}
