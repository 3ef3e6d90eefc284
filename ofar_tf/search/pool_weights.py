"""Which weights each structure of a pool runs on: the supernet's, except those that it owns."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ofar_tf.files import atomic_file
from ofar_tf.models.functional_graph import flat_layers
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.search.pruned_network_pool import PrunedNetworkPool

OWNERSHIPS = ("nothing", "batch_norm", "everything")


def ownership(*, weights: str, batch_norm: str, finetuned: bool = False) -> str:
    """Says in one word what each structure has of its own in the end.

    Args:
        weights: `shared` or `separate`.
        batch_norm: `calibrated` or `switchable`.
        finetuned: Whether each structure trains on alone after joint training.

    Returns:
        One of `OWNERSHIPS`.

    Raises:
        ValueError: If an argument is neither of its two.
    """
    if weights not in ("shared", "separate") or batch_norm not in ("calibrated", "switchable"):
        raise ValueError(
            "Expected weights that are shared or separate, and batch_norm calibrated or switchable. "
            f"Received: weights={weights!r}, batch_norm={batch_norm!r}."
        )
    if weights == "separate" or finetuned:
        return "everything"
    return "batch_norm" if batch_norm == "switchable" else "nothing"


class PoolWeights:
    """The weights of every structure, each of the supernet's full shape: a structure is cut out of its own ones.

    Shared weights are the supernet's own variables. What a structure owns is a copy, from the end of the search on.

    Args:
        supernet: The functional model.
        structures: How many structures there are.
        owned: What each structure has of its own: `nothing` (the paper, US-Net), `batch_norm`, gamma and beta
            (Slimmable Networks' switchable BatchNorm, DESIGN D17), or `everything`, as if trained alone.

    Attributes:
        structures: How many structures there are.
        owned: What each structure has of its own, one of `OWNERSHIPS`.
        separate: Whether structures share nothing that is trained.

    Raises:
        ValueError: If `owned` is none of these.
    """

    def __init__(self, supernet: keras.Model, *, structures: int, owned: str = "nothing"):
        if owned not in OWNERSHIPS:
            raise ValueError(f"Expected owned weights out of {', '.join(OWNERSHIPS)}. Received: owned={owned!r}.")
        self.structures = structures
        self.owned = owned
        self.separate = owned == "everything"
        self._supernet = supernet
        self._own = [_copies(supernet, owned, name=f"structure_{index}") for index in range(structures)]

    def of(self, structure: int) -> list[Any]:
        """Returns a structure's variables, in the order of the supernet's weights."""
        own = self._own[structure]
        return [own.get(position, weight) for position, weight in enumerate(self._supernet.weights)]

    def trained_by(self, structure: int) -> list[Any]:
        """Returns those of a structure's variables that are trained, in the order of the supernet's."""
        trained = {id(variable) for variable in self._supernet.trainable_variables}
        pairs = zip(self._supernet.weights, self.of(structure), strict=True)
        return [variable for weight, variable in pairs if id(weight) in trained]

    @property
    def own(self) -> list[Any]:
        """All variables that belong to one structure only."""
        return [variable for copies in self._own for variable in copies.values()]

    @property
    def trained_together(self) -> list[list[Any]]:
        """The variables that joint training updates, as the sets that are trained independently of each other."""
        if self.separate:
            return [list(copies.values()) for copies in self._own]
        stood_for = {position for copies in self._own for position in copies}
        owned = {id(self._supernet.weights[position]) for position in stood_for}
        shared = [variable for variable in self._supernet.trainable_variables if id(variable) not in owned]
        return [[*shared, *self.own]]

    def originals(self) -> dict[int, Any]:
        """Maps the id of every structure's own variable to the supernet's variable that it stands for."""
        weights = self._supernet.weights
        return {id(copy): weights[position] for copies in self._own for position, copy in copies.items()}

    def take_over(self, values: Sequence[Sequence[Any]] | None = None) -> None:
        """Gives every structure the present values of the supernet, or values of its own.

        Args:
            values: For each structure, one for each of the supernet's weights; its present ones by default.
        """
        for structure, copies in enumerate(self._own):
            given = values[structure] if values is not None else self._supernet.weights
            for position, variable in copies.items():
                variable.assign(np.asarray(given[position]))

    def save(self, path: Path) -> None:
        """Writes what the structures own to a NumPy archive; no file if that is nothing.

        Args:
            path: The file.
        """
        arrays = {name: np.asarray(variable) for name, variable in self._named().items()}
        if arrays:
            with atomic_file.replacing(path) as temporary:
                np.savez(temporary, allow_pickle=False, **arrays)

    def load(self, path: Path) -> None:
        """Reads what `save` wrote.

        Args:
            path: The file; not looked at if structures own nothing.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is damaged or belongs to another pool.
        """
        named = self._named()
        if not named:
            return
        if not path.is_file():
            raise FileNotFoundError(f"Expected the weights that structures own in {path}. Received: no such file.")
        for name, value in _read(path, named).items():
            named[name].assign(value)

    def _named(self) -> Mapping[str, Any]:
        return {
            f"{index}/{position}": variable
            for index, copies in enumerate(self._own)
            for position, variable in copies.items()
        }


def weights_of(
    mask: ChannelMask, *, supernet: keras.Model, pool: PrunedNetworkPool | None, weights: PoolWeights | None
) -> Sequence[Any]:
    """Returns the variables that the structure of a mask is cut out of, in the order of the supernet's.

    Args:
        mask: One of the pool's, or any mask where there is none.
        supernet: The functional model.
        pool: The structures; None while they are searched, when none has weights of its own.
        weights: Those of the structures; None if they share the supernet's.
    """
    if pool is None or weights is None:
        return supernet.weights
    return weights.of(list(pool.masks).index(mask))


def _copies(supernet: keras.Model, owned: str, *, name: str) -> dict[int, Any]:
    """Copies the owned variables: position in the supernet's weights -> variable."""
    if owned == "nothing":
        return {}
    norms = [layer for layer in flat_layers(supernet) if isinstance(layer, keras.layers.BatchNormalization)]
    chosen = (
        supernet.trainable_variables
        if owned == "everything"
        else [variable for norm in norms for variable in norm.trainable_variables]
    )
    wanted = {id(variable) for variable in chosen}
    return {
        position: keras.Variable(np.asarray(weight), dtype=weight.dtype, name=f"{name}_{weight.path.replace('/', '_')}")
        for position, weight in enumerate(supernet.weights)
        if id(weight) in wanted
    }


def _read(path: Path, named: Mapping[str, Any]) -> Mapping[str, np.ndarray]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: np.asarray(value) for name, value in archive.items()}  # What is no array comes as bytes.
    except Exception as error:  # A flipped byte can make the zip and array readers raise almost anything.
        raise ValueError(f"Expected a readable archive in {path}. Received: {error}.") from error
    expected: Sequence[Any] = sorted((name, tuple(variable.shape)) for name, variable in named.items())
    received = sorted((name, value.shape) for name, value in arrays.items())
    if expected != received:
        raise ValueError(f"Expected the weights of this pool in {path}. Received: those of another.")
    for name, value in arrays.items():
        if value.dtype != np.asarray(named[name]).dtype or not np.isfinite(value).all():
            raise ValueError(f"Expected finite weights in {path}. Received: {name} of {value.dtype}, not all finite.")
    return arrays
