"""Measurements that were made on phones: the table that brings them here."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ofar_tf.family.manifest import Manifest, ModelEntry
from ofar_tf.files.text_file import read_text
from ofar_tf.tflite.latency import Latency

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
    reader = csv.DictReader(io.StringIO(read_text(source)), strict=True)
    try:
        _check_columns(reader.fieldnames or [], source)
        return [_row(row, where=f"line {reader.line_num} of {source}") for row in reader]
    except csv.Error as error:
        line = max(reader.line_num, 1)
        raise ValueError(f"Expected a table in {source}. Received: {error} in line {line}.") from error


def _check_columns(columns: Sequence[str], source: Path) -> None:
    unknown = set(columns) - {*_NAMES, *_FIGURES}
    if unknown or not set(_NEEDED) <= set(columns) or not _identify(columns):
        raise ValueError(
            f"Expected the columns device, threads, median_ms and file, sha256, or id and quantization, and no others "
            f"than p90_ms, p95_ms and runs, in {source}. Received: {', '.join(columns) or 'none'}."
        )


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


def measured_files(manifest: Manifest, rows: Sequence[PhoneLatency]) -> list[ModelEntry]:
    """Finds the files that measurements were made of.

    Args:
        manifest: The files.
        rows: The measurements.

    Returns:
        The file of each row.

    Raises:
        ValueError: If a row fits no file or several, or two rows are of the same file, device and threads, in one line.
    """
    files = [_measured_file(row, manifest) for row in rows]
    first: dict[object, PhoneLatency] = {}
    for row, file in zip(rows, files, strict=True):
        twin = first.setdefault((file.path, row.latency.place), row)
        if twin is not row:
            raise ValueError(
                f"Expected each file once for a device and its threads. Received: {file.path} on {row.latency.device} "
                f"in {twin.where} and in {row.where}."
            )
    return files


def _measured_file(row: PhoneLatency, manifest: Manifest) -> ModelEntry:
    fitting = [model for model in manifest.models if row.is_of(model)]
    if len(fitting) != 1:
        wanted = ", ".join(f"{key}={name}" for key, name in row.names.items())
        raise ValueError(
            f"Expected one of the {len(manifest.models)} files of the export in {row.where}. "
            f"Received: {wanted}, which fits {len(fitting)} of them."
        )
    return fitting[0]
