"""From a network to `device.json`: random structures are converted, timed here or on a phone, and fitted to."""

import datetime
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ofar_tf import models
from ofar_tf.devices.processors import usable_cores
from ofar_tf.family.phone_benchmark import benchmark_commands, write_benchmark_script
from ofar_tf.family.phone_latency import PhoneLatency, read_phone_latencies
from ofar_tf.files.scratch_folder import scratch_folder
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import MaskRules
from ofar_tf.pruning.latency_predictor import SCHEMA_VERSION, LatencyPredictor
from ofar_tf.run.device.device_config import DeviceConfig
from ofar_tf.run.device.predictor_fit import fit_coefficients, unseen_error
from ofar_tf.run.device.random_structures import draw_structures
from ofar_tf.run.device.timed_structures import StructureFile, TimedStructures, convert_structures, read_structures
from ofar_tf.run.environment import versions
from ofar_tf.text.command_line import command_line
from ofar_tf.text.progress import WorkProgress
from ofar_tf.tflite.latency import Latency, measure_latencies

TABLE = "phone.csv"
_LEAST = 10


def measure_here(config: DeviceConfig) -> LatencyPredictor:
    """Converts structures and times them on this machine.

    Args:
        config: The settings.

    Returns:
        The predictor.

    Raises:
        ValueError: If the network or a setting does not fit, or too few files could be timed.
        FileNotFoundError: If the network is not there.
    """
    with scratch_folder("device") as scratch:
        structures = _convert(config, scratch)
        print(f"Timing {len(structures.files)} files in {config.rounds} rounds; let nothing else run.", flush=True)
        files = [scratch / file.path for file in structures.files]
        latencies = measure_latencies(files, threads=config.threads, rounds=config.rounds)
    timed = zip(structures.files, latencies, strict=True)
    return fit_predictor(structures, [(file, each) for file, each in timed if isinstance(each, Latency)])


def write_phone_folder(config: DeviceConfig) -> str:
    """Converts structures into a folder, with the script that times them on a phone.

    Args:
        config: The settings.

    Returns:
        The commands that measure on a phone and read what it found.

    Raises:
        ValueError: If the network or a setting does not fit, or the folder is not empty.
        FileNotFoundError: If the network is not there.
    """
    folder = Path(str(config.phone_dir))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"Expected an empty or new --phone_dir. Received: {folder}, which holds something.")
    folder.mkdir(parents=True, exist_ok=True)
    structures = replace(_convert(config, folder), flags=config.network)
    reader = command_line("measure_device", read=folder, output="device.json")
    write_benchmark_script(folder, {file.path: file.sha256 for file in structures.files}, reader=reader)
    structures.write(folder)
    return benchmark_commands(folder, table=str(folder / TABLE), reader=reader, threads=config.threads)


def read_phone_folder(folder: Path, *, threads: int) -> LatencyPredictor:
    """Reads what the script found on a phone.

    Args:
        folder: Of `write_phone_folder`, with `phone.csv`.
        threads: Where the table has times with several numbers of threads, those that count.

    Returns:
        The predictor.

    Raises:
        FileNotFoundError: If the folder or the table is not there.
        ValueError: If one is damaged, or there are too few times, or times of several devices.
    """
    structures = read_structures(folder)
    rows = read_phone_latencies(folder / TABLE)
    used = [row for row in rows if row.latency.threads == threads] or rows
    return fit_predictor(structures, [(_file_of(row, structures), row.latency) for row in used])


def _file_of(row: PhoneLatency, structures: TimedStructures) -> StructureFile:
    for file in structures.files:
        known = {"file": file.path, "sha256": file.sha256}
        if all(known.get(key) == name for key, name in row.names.items()):
            return file
    wanted = ", ".join(f"{key}={name}" for key, name in row.names.items())
    raise ValueError(f"Expected one of the {len(structures.files)} structures in {row.where}. Received: {wanted}.")


def _convert(config: DeviceConfig, folder: Path) -> TimedStructures:
    supernet = models.load(
        config.model,
        classes=config.classes,
        width_multiplier=config.width_multiplier,
        small_images=config.small_images,
    )
    models.check_resolutions(supernet, {"--resolutions": config.resolutions})
    groups = find_channel_groups(supernet, prune_residual_stream=config.prune_residual_stream)
    drawn = draw_structures(
        groups,
        count=config.structures,
        resolutions=config.resolutions,
        rules=MaskRules(config.min_channels, config.channel_round_to),
        seed=config.seed,
    )
    with WorkProgress(len(drawn)) as progress:
        return convert_structures(
            supernet,
            groups,
            drawn,
            folder,
            precision=config.precision,
            seed=config.seed,
            workers=config.workers or usable_cores(),
            on_done=progress.advance,
        )


def fit_predictor(structures: TimedStructures, timed: Sequence[tuple[StructureFile, Latency]]) -> LatencyPredictor:
    """Fits a predictor to times.

    Args:
        structures: What was timed.
        timed: Files with their times, each file once.

    Returns:
        The predictor, with its error on structures that it was not fitted to.

    Raises:
        ValueError: If there are fewer than ten times, or times of several devices.
    """
    places = {latency.place for _, latency in timed}
    if len(timed) < _LEAST or len({file.path for file, _ in timed}) < len(timed) or len(places) > 1:
        seen = ", ".join(f"{device} with {threads} threads" for device, threads in sorted(places))
        raise ValueError(
            f"Expected times of at least {_LEAST} structures, each once, on one device. Received: {len(timed)} times"
            f"{f' on {seen}' * bool(seen)}."
        )
    ((device, threads),) = places
    works, times = [file.work for file, _ in timed], [calmest_ms(latency) for _, latency in timed]
    return LatencyPredictor(
        schema_version=SCHEMA_VERSION,
        device=device,
        threads=threads,
        precision=structures.precision,
        network=structures.network,
        resolutions=structures.resolutions,
        measured_ms=(min(times), max(times)),
        error=unseen_error(works, times),
        coefficients=fit_coefficients(works, times),
        versions=versions(),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def calmest_ms(latency: Latency) -> float:
    """Returns the least median of a round, with which other programs interfered least; else the median."""
    return latency.spread_ms[0] if latency.spread_ms else latency.median_ms
