"""What a killed run continues from: a file after each epoch, and within one where it is asked for; whole or absent."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ofar_tf.files import atomic_file
from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.training.once_for_all import OnceForAll

_NAME = re.compile(r"epoch_(\d{5,})(?:_step_(\d{8,}))?\.npz", re.ASCII)
_DIGEST = "sha256"
WHEN = "when"
"""The array that says when a checkpoint was written; int64 `[2]`, a `Moment`."""

Moment = tuple[int, int]
"""How far a run has come: whole epochs done, and steps done of the next."""


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

    def save(self, epoch: int, state: Mapping[str, np.ndarray], *, step: int = 0) -> None:
        """Writes the state of a run and removes the checkpoints that are too old.

        Args:
            epoch: How many epochs are done.
            state: Arrays by name, of NumPy's own dtypes.
            step: How many steps of the next epoch are done; 0 where the epoch has just ended.

        Raises:
            NoRoomError: If there is no room for it; the older checkpoints are kept.
        """
        name = f"epoch_{epoch:05d}_step_{step:08d}.npz" if step else f"epoch_{epoch:05d}.npz"
        with atomic_file.replacing(self.directory / name) as path:
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
        for moment in sorted(files, reverse=True):
            try:
                return moment[0], _read(files[moment], moment)
            except Exception as error:  # A flipped byte can make the zip and array readers raise almost anything.
                print(f"Warning: {files[moment]} is damaged ({error}); trying the one before.")
        if files:
            raise ValueError(
                f"Expected a readable checkpoint in {self.directory}. Received: damaged ones only; remove the folder "
                "to begin the run anew."
            )
        return None

    def _files(self) -> dict[Moment, Path]:
        paths = self.directory.glob("epoch_*.npz") if self.directory.is_dir() else ()
        matches = [(path, match) for path in paths if (match := _NAME.fullmatch(path.name))]
        return {(int(match[1]), int(match[2] or 0)): path for path, match in matches}


def _read(path: Path, moment: Moment) -> dict[str, np.ndarray]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        state = dict(archive)
    if not np.array_equal(state.pop(_DIGEST), _digest(state)):
        raise ValueError(f"its {_DIGEST} differs")
    # Checkpoints of version 0.1.0 do not say when they were written.
    if not np.array_equal(state.get(WHEN, moment), moment):
        raise ValueError("its name is that of another moment")
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
    """Gathers all that a run's future depends on, besides its configuration and the moment.

    Args:
        model: The trainer, compiled.
        search: Its search callback.

    Returns:
        Arrays by name, for `Checkpoints.save` and `restore_training`.
    """
    values = {name: np.asarray(variable) for name, variable in saved_variables(model).items()}
    # Runs without it have checkpoints as they always had.
    begun = {"finetune/begun": np.array(model.phase == "finetune")} if model.step.finetune_structures else {}
    return {**values, **begun, "search/masks": search.state()}


def restore_training(model: OnceForAll, search: MaskSearch, state: Mapping[str, np.ndarray]) -> None:
    """Puts a trainer and its search back into a saved state.

    Args:
        model: A freshly built and compiled trainer.
        search: A fresh search callback.
        state: What `training_state` gathered.

    Raises:
        ValueError: If the state is that of another model; then nothing was changed.
    """
    variables = saved_variables(model)
    for name, variable in variables.items():
        shape = tuple(variable.shape)
        if name not in state or state[name].shape != shape:
            raise ValueError(
                f"Expected a checkpoint of this model, with {variable.path} of shape {shape}. "
                f"Received: {state[name].shape if name in state else 'none'}."
            )
        if state[name].dtype != np.asarray(variable).dtype:
            raise ValueError(
                f"Expected a checkpoint of this model, with {variable.path} of type {np.asarray(variable).dtype}. "
                f"Received: {state[name].dtype}."
            )
    search.set_model(model)
    search.restore(_masks_in(state, model, search))
    if model.step.finetune_structures and np.any(state.get("finetune/begun", False)):
        model.finetune()
    # Last, because freezing the structures again sets the step at which the search ended to the present one.
    for name, variable in variables.items():
        variable.assign(state[name])


def _masks_in(state: Mapping[str, np.ndarray], model: OnceForAll, search: MaskSearch) -> np.ndarray:
    masks = state.get("search/masks", np.zeros(0))
    # Where there is nothing to search for, the masks of the untrained network are one epoch.
    epochs, expected = max(search.epochs, 1), (len(model.budgets), model.groups.size)
    if masks.dtype != bool or masks.ndim != 3 or masks.shape[1:] != expected or len(masks) > epochs:
        raise ValueError(
            f"Expected a checkpoint with the masks of at most {epochs} epochs, [epochs, {expected[0]}, {expected[1]}]. "
            f"Received: {masks.dtype} {list(masks.shape)}."
        )
    return masks


def saved_variables(model: OnceForAll) -> dict[str, Any]:
    """Returns every variable of a trainer that a checkpoint holds, by its name there."""
    weights = {f"weights/{index}": weight for index, weight in enumerate(model.supernet.weights)}
    own = {f"own_weights/{index}": weight for index, weight in enumerate(model.own_variables)}
    slots = {f"optimizer/{index}": slot for index, slot in enumerate(model.optimizer.variables)}
    ranking = {} if model.sensitivity is None else {"search/sensitivity": model.sensitivity}
    return {**weights, **own, **slots, **ranking, "search/steps": model.search_steps}
