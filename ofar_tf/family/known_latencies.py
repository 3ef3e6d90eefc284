"""What was ever measured of the files of a folder, by their content: no export of whatever else forgets it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ofar_tf.files import atomic_file
from ofar_tf.files.json_values import from_json, read_json
from ofar_tf.tflite.latency import Latency, merged

Latencies = dict[str, tuple[Latency, ...]]
"""Measurements by the SHA-256 of the file."""


def read_latencies(record: Path, manifests: Sequence[Path]) -> Latencies:
    """Collects the measurements that a record and some manifests hold.

    Args:
        record: What `write_latencies` wrote; it may be missing.
        manifests: Manifests of any version, those first that count where two differ; they may be missing. What cannot
            be read of them is left out.

    Returns:
        The measurements.
    """
    found = _of_object(_parsed(record))
    for manifest in manifests:
        models = _parsed(manifest)
        entries = models.get("models") if isinstance(models, dict) else None
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict) and isinstance(entry.get("sha256"), str):
                add(found, _of_object({entry["sha256"]: entry.get("latency")}), first=False)
    return found


def add(found: Latencies, others: Mapping[str, Sequence[Latency]], *, first: bool = True) -> None:
    """Adds measurements.

    Args:
        found: What is added to.
        others: What is added.
        first: Whether the new one counts where there is one of the same file, device and number of threads.
    """
    for sha256, latencies in others.items():
        pair = (latencies, found.get(sha256, ()))
        found[sha256] = merged(*(pair if first else reversed(pair)))


def write_latencies(record: Path, latencies: Latencies) -> None:
    """Writes measurements.

    Args:
        record: Where to.
        latencies: The measurements.
    """
    stored = {sha256: [asdict(latency) for latency in found] for sha256, found in sorted(latencies.items()) if found}
    atomic_file.write_text(record, json.dumps(stored, indent=2) + "\n")


def _parsed(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def _of_object(stored: Any) -> Latencies:
    found: Latencies = {}
    for sha256, rows in stored.items() if isinstance(stored, dict) else ():
        for row in rows if isinstance(rows, list) else ():
            try:
                latency = from_json(Latency, row, where=sha256)
            except (ValueError, ArithmeticError):  # Of another version.
                continue
            add(found, {sha256: (latency,)})
    return found
