"""The latency of a family's files on this machine: all of them in rounds, never two at once."""

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ofar_tf.family.model_entry import ModelEntry
from ofar_tf.files.finished_work import Work
from ofar_tf.tflite.latency import Latency, measure_latencies, merged, this_machine

ROUNDS = 5


def time_files(
    entries: Sequence[ModelEntry],
    folder: Path,
    *,
    threads: int,
    known: Mapping[str, Sequence[Latency]] | None = None,
    on_done: Callable[[str], None] = lambda message: None,
) -> list[ModelEntry]:
    """Measures the latency of every file that runs, all of them in interleaved rounds.

    Measurements are recorded beside the files, so that an export that is resumed makes them once. Where one file has no
    record yet, all are timed again: only figures of the same rounds can be compared.

    Args:
        entries: The files.
        folder: The export folder.
        threads: How many threads LiteRT uses; 0 to measure nothing.
        known: What was measured before, on phones for instance, by the SHA-256 of the file.
        on_done: Called for each file with what was done, a few words; or why it was not, in one line.

    Returns:
        The same files with their latencies.
    """
    running = [entry for entry in entries if entry.checks.runs] if threads else []
    measured = _measured(running, folder, threads=threads)
    timed = []
    for entry in entries:
        found = measured.get(entry.path)
        if threads:
            on_done(str(found) if isinstance(found, RuntimeError) else f"timed {Path(entry.path).stem}")
        new = [found] if isinstance(found, Latency) else []
        timed.append(replace(entry, latency=merged(new, (known or {}).get(entry.sha256, ()))))
    return timed


def _measured(entries: Sequence[ModelEntry], folder: Path, *, threads: int) -> dict[str, Latency | RuntimeError]:
    works = [Work(f"latency_{threads}", folder / each.path, Latency, _key(each, threads=threads)) for each in entries]
    recorded = [work.finished() for work in works]
    if not entries or all(recorded):
        return {entry.path: latency for entry, latency in zip(entries, recorded, strict=True) if latency}
    measured = measure_latencies([work.file for work in works], threads=threads, rounds=ROUNDS)
    for work, latency in zip(works, measured, strict=True):
        if isinstance(latency, Latency):
            work.finish(latency)
    return {entry.path: latency for entry, latency in zip(entries, measured, strict=True)}


def _key(entry: ModelEntry, *, threads: int) -> Mapping[str, Any]:
    return {
        "sha256": entry.sha256,
        "device": this_machine(),
        "threads": threads,
        "rounds": ROUNDS,
        "ai-edge-litert": importlib.metadata.version("ai-edge-litert"),
    }
