"""The latency of a family's files on this machine: all of them in rounds, never two at once."""

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ofar_tf.family.model_entry import ModelEntry
from ofar_tf.files import finished_work
from ofar_tf.files.json_values import from_json
from ofar_tf.tflite.latency import Latency, measure_latencies, merged, this_machine

ROUNDS = 5


def time_files(
    entries: Sequence[ModelEntry],
    folder: Path,
    *,
    threads: int,
    earlier: Sequence[ModelEntry] = (),
    on_done: Callable[[str], None] = lambda message: None,
) -> list[ModelEntry]:
    """Measures the latency of every file that runs, all of them in interleaved rounds.

    Measurements are recorded beside the files, so that an export that is resumed makes them once. Where one file has no
    record yet, all are timed again: only figures of the same rounds can be compared. Those that an earlier manifest has
    of the same file, on phones for instance, are kept.

    Args:
        entries: The files.
        folder: The export folder.
        threads: How many threads LiteRT uses; 0 to measure nothing.
        earlier: The entries of an earlier manifest.
        on_done: Called for each file with what was done, a few words; or why it was not, in one line.

    Returns:
        The same files with their latencies.
    """
    running = [entry for entry in entries if entry.checks.runs] if threads else []
    measured = _measured(running, folder, threads=threads)
    known = {entry.sha256: entry.latency for entry in earlier}
    timed = []
    for entry in entries:
        found = measured.get(entry.path)
        if threads:
            on_done(str(found) if isinstance(found, RuntimeError) else f"timed {Path(entry.path).stem}")
        new = [found] if isinstance(found, Latency) else []
        timed.append(replace(entry, latency=merged(new, known.get(entry.sha256, ()))))
    return timed


def _measured(entries: Sequence[ModelEntry], folder: Path, *, threads: int) -> dict[str, Latency | RuntimeError]:
    recorded = {entry.path: _recorded(entry, folder, threads=threads) for entry in entries}
    if not entries or all(recorded.values()):
        return {path: latency for path, latency in recorded.items() if latency}
    measured = measure_latencies([folder / entry.path for entry in entries], threads=threads, rounds=ROUNDS)
    for entry, latency in zip(entries, measured, strict=True):
        if isinstance(latency, Latency):
            path = _record_path(entry, folder, threads=threads)
            finished_work.write_record(path, key=_key(entry, threads=threads), value=asdict(latency))
    return {entry.path: latency for entry, latency in zip(entries, measured, strict=True)}


def _recorded(entry: ModelEntry, folder: Path, *, threads: int) -> Latency | None:
    path = _record_path(entry, folder, threads=threads)
    value = finished_work.read_record(path, key=_key(entry, threads=threads))
    return None if value is None else from_json(Latency, value, where=str(path))


def _record_path(entry: ModelEntry, folder: Path, *, threads: int) -> Path:
    return finished_work.record_path(folder / entry.path, f"latency_{threads}")


def _key(entry: ModelEntry, *, threads: int) -> Mapping[str, Any]:
    return {
        "sha256": entry.sha256,
        "device": this_machine(),
        "threads": threads,
        "rounds": ROUNDS,
        "ai-edge-litert": importlib.metadata.version("ai-edge-litert"),
    }
