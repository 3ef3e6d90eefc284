"""Measurements that were made on phones: the table that brings them here."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ofar_tf.family.manifest import Manifest, ModelEntry
from ofar_tf.tflite.latency import Latency, merged

_NAMES = ("file", "sha256", "id", "quantization")
_FIGURES = ("device", "threads", "median_ms", "p90_ms", "p95_ms", "runs")
_NEEDED = ("device", "threads", "median_ms")


@dataclass(frozen=True)
class PhoneLatency:
    """One row of the table.

    Attributes:
        where: The table and the line, for messages.
        names: What tells which file was measured: `file` (its path in the export folder, or its name alone), `sha256`,
            `id` and `quantization`, as far as they are given.
        latency: The measurement.
    """

    where: str
    names: Mapping[str, str]
    latency: Latency

    def is_of(self, model: ModelEntry) -> bool:
        """Tells whether this is a measurement of a file.

        Args:
            model: The file.

        Returns:
            Whether all that is given fits.
        """
        known = {"sha256": model.sha256, "id": model.id, "quantization": model.quantization}
        paths = (model.path, Path(model.path).name)
        return all(name in paths if key == "file" else known[key] == name for key, name in self.names.items())


def read_phone_latencies(path: str | Path) -> list[PhoneLatency]:
    """Reads a table of measurements.

    It is a CSV file whose first line names the columns: `device`, `threads` and `median_ms`; as wanted `p90_ms`,
    `p95_ms` and `runs`; and one of `file`, `sha256`, or `id` with `quantization`. `benchmark_on_phone.sh` in an export
    folder writes such a table.

    Args:
        path: The table.

    Returns:
        Its rows.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such table, in one line that names the place.
    """
    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"Expected a table of measurements. Received: {source}, which does not exist.")
    reader = csv.DictReader(io.StringIO(source.read_text(encoding="utf-8-sig")), strict=True)
    columns = reader.fieldnames or []
    unknown = set(columns) - {*_NAMES, *_FIGURES}
    if unknown or not set(_NEEDED) <= set(columns) or not _identify(columns):
        raise ValueError(
            f"Expected the columns device, threads, median_ms and file, sha256, or id and quantization, and no others "
            f"than p90_ms, p95_ms and runs, in {source}. Received: {', '.join(columns) or 'none'}."
        )
    try:
        return [_row(row, where=f"line {reader.line_num} of {source}") for row in reader]
    except csv.Error as error:
        raise ValueError(f"Expected a table in {source}. Received: {error} in line {reader.line_num}.") from error


def _identify(names: Sequence[str]) -> bool:
    return bool({"file", "sha256"} & set(names)) or {"id", "quantization"} <= set(names)


def _row(row: Mapping[str | None, str | None], *, where: str) -> PhoneLatency:
    texts = {str(key): text.strip() for key, text in row.items() if isinstance(text, str) and text.strip()}
    names = {key: texts[key] for key in _NAMES if key in texts}
    if None in row or not _identify(list(names)) or not set(_NEEDED) <= set(texts):
        raise ValueError(f"Expected a file, a device, threads and median_ms in {where}. Received: {texts}.")
    try:
        figures = {
            key: int(texts[key]) if key in ("threads", "runs") else float(texts[key])
            for key in _FIGURES[1:]
            if key in texts
        }
        return PhoneLatency(where, names, Latency(texts["device"], **figures))  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"Expected a measurement in {where}. Received: {error}") from error


def with_phone_latencies(manifest: Manifest, rows: Sequence[PhoneLatency]) -> Manifest:
    """Joins measurements with the files that they were made of; where there is one already, the new one replaces it.

    Args:
        manifest: The files.
        rows: The measurements.

    Returns:
        The manifest with them.

    Raises:
        ValueError: If a row fits no file or several, or two rows are of the same file, device and threads, in one line.
    """
    found: dict[str, list[tuple[PhoneLatency, Latency]]] = {}
    for row in rows:
        path = _measured_file(row, manifest).path
        twin = next((other for other, known in found.get(path, []) if known.place == row.latency.place), None)
        if twin:
            raise ValueError(
                f"Expected each file once for a device and its threads. Received: {path} on {row.latency.device} in "
                f"{twin.where} and in {row.where}."
            )
        found.setdefault(path, []).append((row, row.latency))
    return replace(manifest, models=tuple(_joined(manifest, found)))


def split_by_fit(rows: Sequence[PhoneLatency], manifest: Manifest) -> tuple[list[PhoneLatency], list[PhoneLatency]]:
    """Parts the measurements of files that a manifest has from the others.

    Args:
        rows: The measurements.
        manifest: The files.

    Returns:
        Those that fit a file, and those that fit none.
    """
    fits = {row.where: any(row.is_of(model) for model in manifest.models) for row in rows}
    return [row for row in rows if fits[row.where]], [row for row in rows if not fits[row.where]]


def _measured_file(row: PhoneLatency, manifest: Manifest) -> ModelEntry:
    fitting = [model for model in manifest.models if row.is_of(model)]
    if len(fitting) != 1:
        wanted = ", ".join(f"{key}={name}" for key, name in row.names.items())
        raise ValueError(
            f"Expected one of the {len(manifest.models)} files of the export in {row.where}. "
            f"Received: {wanted}, which fits {len(fitting)} of them."
        )
    return fitting[0]


def _joined(manifest: Manifest, found: Mapping[str, list[tuple[PhoneLatency, Latency]]]) -> Iterator[ModelEntry]:
    for model in manifest.models:
        new = [latency for _, latency in found.get(model.path, [])]
        yield replace(model, latency=merged(new, model.latency))
