"""The latency of a family's files on this machine: one after the other, each file once."""

import importlib.metadata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ofar_tf.family.manifest import ModelEntry
from ofar_tf.files.finished_work import Work
from ofar_tf.tflite.latency import Latency, measure_latency, merged, this_machine


def time_files(
    entries: Sequence[ModelEntry],
    folder: Path,
    *,
    threads: int,
    known: Mapping[str, Sequence[Latency]] | None = None,
    on_done: Callable[[str], None] = lambda message: None,
) -> list[ModelEntry]:
    """Measures the latency of every file that runs, never two at once.

    Measurements are recorded beside the files, so that each is made once.

    Args:
        entries: The files.
        folder: The export folder.
        threads: How many threads LiteRT uses; 0 to measure nothing.
        known: What was measured before, on phones for instance, by the SHA-256 of the file.
        on_done: Called after each file with what was done, a few words; or why it was not, in one line.

    Returns:
        The same files with their latencies.
    """
    timed = []
    for entry in entries:
        measured = list(_measured(entry, folder, threads=threads, on_done=on_done)) if threads else []
        timed.append(replace(entry, latency=merged(measured, (known or {}).get(entry.sha256, ()))))
    return timed


def _measured(entry: ModelEntry, folder: Path, *, threads: int, on_done: Callable[[str], None]) -> Iterator[Latency]:
    path = folder / entry.path
    key = {
        "sha256": entry.sha256,
        "device": this_machine(),
        "threads": threads,
        "ai-edge-litert": importlib.metadata.version("ai-edge-litert"),
    }
    if entry.checks.runs:
        try:
            work = Work(f"latency_{threads}", path, Latency, key)
            yield work.once(lambda: measure_latency(path, threads=threads))
        except RuntimeError as error:
            on_done(f"{error}")
            return
    on_done(f"timed {path.stem}")
