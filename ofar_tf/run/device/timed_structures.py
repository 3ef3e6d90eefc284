"""Random structures as files to be timed, with what each has to do: `structures.json` beside the files."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras

from ofar_tf.conversion.throwaway_files import convert_throwaways
from ofar_tf.files import atomic_file
from ofar_tf.files.json_values import from_json, read_json
from ofar_tf.files.scratch_folder import scratch_folder
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.operator_work import OperatorWork
from ofar_tf.run.device.random_structures import DrawnStructure, random_network

_RECORD = "structures.json"


@dataclass(frozen=True)
class StructureFile:
    """One structure's file.

    Attributes:
        path: Relative to the folder.
        sha256: Of the file.
        work: What `OperatorWork.of` counts.
    """

    path: str
    sha256: str
    work: Mapping[str, float]


@dataclass(frozen=True)
class TimedStructures:
    """The files of a folder.

    Attributes:
        network: The supernet whose structures they are.
        precision: Which kind of file they are.
        resolutions: What the structures see.
        files: The files.
        flags: Those of training that make this network; empty where they are not known.
    """

    network: str
    precision: str
    resolutions: tuple[str, ...]
    files: tuple[StructureFile, ...]
    flags: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Writes the record beside the files."""
        atomic_file.write_text(folder / _RECORD, json.dumps(asdict(self), indent=1) + "\n")


def convert_structures(
    supernet: keras.Model,
    groups: ChannelGroups,
    drawn: Sequence[DrawnStructure],
    folder: Path,
    *,
    precision: str,
    seed: int,
    workers: int,
    on_done: Callable[[str], None],
) -> TimedStructures:
    """Writes a file for each structure.

    Args:
        supernet: The functional model; its weights do not matter.
        groups: Its channel groups.
        drawn: The structures.
        folder: Where to.
        precision: A key of `ofar_tf.conversion.precision.PRECISIONS`.
        seed: Of the weights.
        workers: How many conversions are run at once.
        on_done: Called after each conversion with what was done.

    Returns:
        What was written.

    Raises:
        ValueError: If a structure does not convert.
    """
    work = OperatorWork(groups)
    with scratch_folder("device") as scratch:
        networks = (random_network(supernet, groups, each, seed=seed + index) for index, each in enumerate(drawn))
        converted = convert_throwaways(
            networks,
            scratch,
            precision=precision,
            workers=workers,
            on_done=lambda result: on_done(f"converted {result.job.tflite_path.name}"),
        )
        files = []
        for each, path in zip(drawn, converted, strict=True):
            with atomic_file.replacing(folder / path.name) as temporary:
                shutil.copyfile(path, temporary)
            files.append(StructureFile(path.name, atomic_file.sha256_of(path), work.of(each.mask, each.resolution)))
    resolutions = tuple(dict.fromkeys(str(each.resolution) for each in drawn))
    return TimedStructures(supernet.name, precision, resolutions, tuple(files))


def read_structures(folder: Path) -> TimedStructures:
    """Reads the record of a folder.

    Args:
        folder: Of `--phone_dir`.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged.
    """
    path = folder / _RECORD
    if not path.is_file():
        raise FileNotFoundError(f"Expected a folder that --phone_dir wrote. Received: {folder}, without {_RECORD}.")
    found: TimedStructures = from_json(TimedStructures, read_json(path), where=str(path))
    return found
