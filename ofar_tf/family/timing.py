"""The latency of a family's files on this machine: one after the other, each file once."""

import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ofar_tf.family.manifest import ModelEntry
from ofar_tf.files import finished_work
from ofar_tf.tflite.latency import Latency, measure_latency, merged, this_machine


def time_files(
    entries: Sequence[ModelEntry],
    folder: Path,
    *,
    threads: int,
    earlier: Sequence[ModelEntry] = (),
    on_done: Callable[[str], None] = lambda message: None,
) -> list[ModelEntry]:
    """Measures the latency of every file that runs, never two at once.

    Measurements are recorded beside the files, so that each is made once. Those that an earlier manifest has of the
    same file, on phones for instance, are kept.

    Args:
        entries: The files.
        folder: The export folder.
        threads: How many threads LiteRT uses; 0 to measure nothing.
        earlier: The entries of an earlier manifest.
        on_done: Called after each file with what was done, a few words; or why it was not, in one line.

    Returns:
        The same files with their latencies.
    """
    known = {entry.sha256: entry.latency for entry in earlier}
    timed = []
    for entry in entries:
        measured = list(_measured(entry, folder, threads=threads, on_done=on_done)) if threads else []
        timed.append(replace(entry, latency=merged(measured, known.get(entry.sha256, ()))))
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
            yield finished_work.recall(
                finished_work.record_path(path, f"latency_{threads}"),
                Latency,
                key=key,
                compute=lambda: measure_latency(path, threads=threads),
            )
        except RuntimeError as error:
            on_done(f"{error}")
            return
    on_done(f"timed {path.stem}")
