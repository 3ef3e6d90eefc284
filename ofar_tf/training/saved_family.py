"""A trained family in a folder: what `OnceForAll.save` writes and `ofar_tf.load` reads."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import keras

from ofar_tf.data.class_names import check_class_names, names_in_order
from ofar_tf.files import atomic_file
from ofar_tf.files.json_values import from_json, read_json
from ofar_tf.models.user_model import read_file
from ofar_tf.pruning.channel_groups import ChannelGroups, find_channel_groups
from ofar_tf.pruning.latency_predictor import LatencyPredictor, read_predictor
from ofar_tf.search.pool_spec import PoolSpec
from ofar_tf.search.pool_weights import PoolWeights
from ofar_tf.search.pruned_network_pool import PrunedNetworkPool, read_pool
from ofar_tf.tasks.classification.task import Classification
from ofar_tf.tasks.task import Task
from ofar_tf.text.size import Size
from ofar_tf.training.trained_files import TrainedFiles

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class FamilyFiles(TrainedFiles):
    """Where a saved family lies."""

    @property
    def description(self) -> Path:
        """How the other files are to be read, and their checksums; its presence says that the family is whole."""
        return self.path / "family.json"

    def checksums(self) -> dict[str, str]:
        """Hashes the files that hold the family, by name."""
        return {path.name: atomic_file.sha256_of(path) for path in self._sealed if path.exists()}

    @property
    def _sealed(self) -> tuple[Path, ...]:
        return self.supernet, self.pool, self.own_weights, self.device

    def check_room(self, *, overwrite: bool) -> None:
        """Refuses a folder that holds something else than a family that may be replaced.

        Args:
            overwrite: Whether a family that is there may be replaced.

        Raises:
            ValueError: If something is in the folder that must not be replaced.
        """
        holds_something = self.path.exists() and (
            not self.path.is_dir() or not all(map(atomic_file.is_unfinished, self.path.iterdir()))
        )
        if holds_something and not (overwrite and self.description.is_file()):
            raise ValueError(
                "Expected an empty folder or none yet, or overwrite=True for a saved family. "
                f"Received: {self.path}, which holds something."
            )

    def take(self, others: "FamilyFiles") -> None:
        """Puts the files of another folder in the place of those that are here, all but the description.

        Args:
            others: Where a family was written, on the same file system.
        """
        for path in (self.description, self.subnets, self.evaluation, self.own_weights, self.device):
            path.unlink(missing_ok=True)
        for path in others._sealed:
            if path.exists():
                path.replace(self.path / path.name)


@dataclass(frozen=True)
class _Description:
    schema_version: int
    resolutions: tuple[str, ...]
    prune_residual_stream: bool
    excluded_groups: tuple[str, ...]
    owned: str
    seed: int
    labels: tuple[str, ...]
    sha256: Mapping[str, str]
    outside: tuple[str, ...] = ()


@dataclass(frozen=True)
class SavedFamily:
    """What a folder holds.

    Attributes:
        supernet: The network that holds all others.
        groups: Its channel groups.
        pool: The structures.
        resolutions: What the networks see, largest first.
        weights: What structures own.
        labels: The class names, in the order of the outputs; empty where they were not given.
        seed: Of all draws of the training.
        predictor: What is known of the device that latencies are predicted for, if there is one.
    """

    supernet: keras.Model
    groups: ChannelGroups
    pool: PrunedNetworkPool
    resolutions: tuple[Size, ...]
    weights: PoolWeights
    labels: tuple[str, ...]
    seed: int
    predictor: LatencyPredictor | None = None


class Trained(Protocol):
    """What is saved of a model: see `OnceForAll`."""

    supernet: keras.Model
    spec: PoolSpec
    task: Task
    seed: int

    @property
    def frozen_pool(self) -> PrunedNetworkPool:
        """The structures; a ValueError while they are searched."""

    @property
    def pool_weights(self) -> PoolWeights:
        """What structures own."""


def save_family(model: Trained, folder: str | Path, *, labels: Sequence[str], overwrite: bool) -> None:
    """Writes a trained family, `family.json` last. One that is there is kept until all of the new one is written.

    Args:
        model: A model whose structures are frozen.
        folder: Where to.
        labels: The class names, in the order of the outputs, or none.
        overwrite: Whether a family that is there may be replaced.

    Raises:
        ValueError: If the structures are not frozen yet, the networks are no classifiers, the folder holds something
            else, or the labels are no names.
    """
    files, pool = FamilyFiles(Path(folder)), model.frozen_pool
    if not isinstance(model.task, Classification):
        raise ValueError(
            "Expected a family of classifiers, for which ofar_tf.load would take any other. "
            f"Received: a family of {type(model.task).__name__}; ofar_tf.export_family writes its files."
        )
    names = names_in_order(labels, classes=model.task.classes)
    if names:
        check_class_names(names, least=1)
    if files.path.suffix in (".keras", ".h5", ".hdf5"):
        raise ValueError(
            "Expected a folder: a family is more than one network (ofar_tf.load(folder).best() is one). "
            f"Received: {files.path}."
        )
    files.check_room(overwrite=overwrite)
    with atomic_file.replacing(files.description) as description:
        made = FamilyFiles(description.parent)
        with atomic_file.replacing(made.supernet) as temporary:
            model.supernet.save(temporary)
        atomic_file.write_text(made.pool, pool.to_json())
        model.pool_weights.save(made.own_weights)
        if model.spec.predictor:
            model.spec.predictor.write(made.device)
        described = _described(model, names, made)
        description.write_text(json.dumps(asdict(described), indent=1) + "\n", encoding="utf-8")
        files.take(made)


def _described(model: Trained, labels: Sequence[str], files: FamilyFiles) -> _Description:
    return _Description(
        schema_version=SCHEMA_VERSION,
        resolutions=tuple(map(str, model.spec.resolutions)),
        prune_residual_stream=model.spec.prune_residual_stream,
        excluded_groups=model.spec.excluded_groups,
        owned=model.pool_weights.owned,
        seed=model.seed,
        labels=tuple(labels),
        sha256=files.checksums(),
        outside=model.spec.outside,
    )


def read_family(folder: str | Path) -> SavedFamily:
    """Reads what `save_family` wrote. Nothing is executed: a network with layers of the user's needs them registered.

    Args:
        folder: The folder.

    Raises:
        FileNotFoundError: If there is no family.
        ValueError: If a file is not as it was written.
    """
    files = FamilyFiles(Path(folder))
    stored: _Description = from_json(_Description, read_json(files.description), where=files.description.name)
    if stored.schema_version != SCHEMA_VERSION:
        raise ValueError(
            f"Expected a family of schema version {SCHEMA_VERSION} in {files.description}. "
            f"Received: {stored.schema_version}."
        )
    changed = set(files.checksums().items()) ^ set(stored.sha256.items())
    if changed:
        names = ", ".join(sorted({name for name, _ in changed}))
        raise ValueError(f"Expected the files in {files.path} as they were saved. Received: other content of {names}.")
    supernet = read_file(str(files.supernet))
    groups = find_channel_groups(
        supernet,
        prune_residual_stream=stored.prune_residual_stream,
        excluded=stored.excluded_groups,
        outside=stored.outside,
    )
    pool = read_pool(files.pool, groups)
    weights = PoolWeights(supernet, structures=len(pool), owned=stored.owned)
    weights.load(files.own_weights)
    resolutions = tuple(sorted(map(Size.parse, stored.resolutions), reverse=True))
    predictor = read_predictor(files.device) if files.device.exists() else None
    return SavedFamily(supernet, groups, pool, resolutions, weights, stored.labels, stored.seed, predictor)
