"""The folder of an export: its paths, its lock, what an earlier export left in it, and what is finished."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ofar_tf.family.known_latencies import add, read_latencies, write_latencies
from ofar_tf.family.manifest import Manifest, ManifestHeader, ModelEntry, read_manifest
from ofar_tf.family.own_documents import note, refuse_changed, refuse_foreign
from ofar_tf.family.phone_benchmark import SCRIPT
from ofar_tf.family.phone_latency import PhoneLatency, measured_files
from ofar_tf.files import atomic_file
from ofar_tf.files.folder_lock import FolderLock
from ofar_tf.files.json_values import read_json
from ofar_tf.tflite.latency import Latency
from ofar_tf.tflite.metadata import LABELS_FILE


@dataclass(frozen=True)
class _Imported:
    """A measurement that was brought here, and the content of the file that it was made of."""

    where: str
    sha256: str


class FamilyFolder:
    """An export folder that this process alone writes to, as long as this object lives, or until `release()`.

    Hidden records beside the files say what is done (`ofar_tf.files.finished_work.Work`), so that an export that was
    killed goes on where it was. What killed processes left half-written is removed. Files of other names are left
    alone, and documents of the user's in the places of ours, or that the user changed, are refused.

    Args:
        path: The folder; it is created where it is missing.
        training: What identifies the training whose networks are written (`TrainedPool.training`); None where that is
            not known: files of any training are replaced then.
        overwrite: Whether files of another training may be replaced.

    Attributes:
        path: The folder.

    Raises:
        ValueError: If another process works in it, documents in it are not an export's own, or files in it are of
            another training.
        OSError: If it cannot be written.
    """

    def __init__(self, path: str | Path, *, training: str | None = None, overwrite: bool = False):
        self.path = Path(path)
        self._training = training
        self._refuse_others(overwrite=overwrite)
        self._imported: list[_Imported] = []
        self._left_out: list[str] = []
        self._lock = FolderLock(self.path)
        try:
            # Again: an export that held the folder during the first check may have ended since.
            self._refuse_others(overwrite=overwrite)
            atomic_file.remove_unfinished(self.path)
        except BaseException:
            self.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Lets others work in the folder."""
        self._lock.release()

    def for_heirs(self) -> dict[str, Any]:
        """Returns what processes need that hold the folder too, see `FolderLock.for_heirs`."""
        return self._lock.for_heirs()

    @property
    def manifest(self) -> Path:
        """What the folder holds, for programs. It is written last: a folder without it is unfinished."""
        return self.path / "manifest.json"

    @property
    def labels(self) -> Path:
        """The class names."""
        return self.path / LABELS_FILE

    @property
    def model_card(self) -> Path:
        """What the folder holds, for people."""
        return self.path / "README.md"

    @property
    def report(self) -> Path:
        """A page to choose a file by."""
        return self.path / "report.html"

    @property
    def file_list(self) -> Path:
        """The manifest's numbers as a table."""
        return self.path / "files.csv"

    @property
    def figure(self) -> Path:
        """Accuracy against multiply-adds, drawn."""
        return self.path / "pareto.png"

    def keras_path(self, member: str) -> Path:
        """Returns the place of a member's `.keras` file, by the member's id."""
        return self.path / member / f"{member}.keras"

    def tflite_path(self, member: str, precision: str, form: str | None = None) -> Path:
        """Returns the place of a member's file in a precision and a form, by the member's id."""
        ending = f"_{form}" if form else ""
        return self.path / member / f"{member}_{precision}{ending}.tflite"

    def layers_path(self, tflite_path: Path) -> Path:
        """Returns the place of the table of a file's layers."""
        return tflite_path.with_suffix(".layers.csv")

    def overlay_path(self, tflite_path: Path) -> Path:
        """Returns the place of what Model Explorer lays over a file's graph."""
        return tflite_path.with_suffix(".layers.json")

    @property
    def _aside(self) -> Path:
        return self.path / ".previous_manifest.json"

    @property
    def _latencies(self) -> Path:
        return self.path / ".latencies.json"

    def import_latencies(self, rows: Sequence[PhoneLatency]) -> None:
        """Takes measurements that were made elsewhere of files that the folder holds now.

        They belong to the content of these files, not to their names.

        Args:
            rows: The measurements.

        Raises:
            FileNotFoundError: If the folder holds no finished export.
            ValueError: If a row fits no file or several, or two rows are of the same file, device and threads.
        """
        found = measured_files(read_manifest(self.manifest), rows)
        known = self.known_latencies()
        for row, model in zip(rows, found, strict=True):
            add(known, {model.sha256: (row.latency,)})
        write_latencies(self._latencies, known)
        self._imported = [_Imported(row.where, model.sha256) for row, model in zip(rows, found, strict=True)]

    def strangers(self, manifest: Manifest) -> Iterator[str]:
        """Names the measurements that were imported of files that are no longer there.

        Args:
            manifest: What is there now.

        Yields:
            The place of each in its table.
        """
        contents = {model.sha256 for model in manifest.models}
        yield from (row.where for row in self._imported if row.sha256 not in contents)

    def known_latencies(self) -> dict[str, tuple[Latency, ...]]:
        """Returns everything that was ever measured of files in the folder, by the SHA-256 of the file."""
        return read_latencies(self._latencies, [self.manifest, self._aside])

    @property
    def _documents(self) -> tuple[Path, ...]:
        """What people read and may write in."""
        return self.labels, self.model_card, self.report, self.file_list, self.figure, self.path / SCRIPT

    @property
    def _written(self) -> Path:
        return self.path / ".documents.json"

    @property
    def _exported(self) -> bool:
        """Whether an export, finished or not, of whatever version, has begun here."""
        return self._latencies.exists() or self._aside.exists() or _is_manifest(self.manifest)

    @property
    def _record_of_training(self) -> Path:
        return self.path / ".training.json"

    def _refuse_others(self, *, overwrite: bool) -> None:
        if not overwrite:
            self._refuse_other_training()
        if self._exported:
            refuse_changed(self._documents, record=self._written)
        else:
            refuse_foreign((*self._documents, self.manifest))

    def _refuse_other_training(self) -> None:
        """Networks of another training have the same names: their files would be lost one by one."""
        holds_files = any(next(self.path.glob(f"*/*{suffix}"), None) for suffix in (".keras", ".tflite"))
        if self._training is None or not holds_files:
            return
        try:
            began = read_json(self._record_of_training)["weights"]
        except (OSError, ValueError, TypeError, KeyError):  # Of an older version, or damaged.
            return
        if began != self._training:
            raise ValueError(
                "Expected an export folder of this training or a new one, or overwrite=True (--overwrite). "
                f"Received: {self.path}, which holds files of another training."
            )

    def begin(self, header: ManifestHeader) -> list[ModelEntry]:
        """Sets the manifest of an earlier export aside and returns what of it still holds.

        A second export, of other structures or precisions, adds to the first. Files that were changed since, and files
        of networks calibrated or measured on other images (the header's dataset tells), are left out. Each entry says
        which versions made it, which may not be today's, and has all that was measured of its content since.

        Args:
            header: How the files are made now.

        Returns:
            The entries that hold.
        """
        known = self.known_latencies()
        write_latencies(self._latencies, known)
        if self._training is not None:
            atomic_file.write_text(self._record_of_training, json.dumps({"weights": self._training}) + "\n")
        self._written.unlink(missing_ok=True)  # Until the end some are of this export, some of the one before.
        if self.manifest.exists():
            self.manifest.replace(self._aside)
        try:
            previous = read_manifest(self._aside)
        except (FileNotFoundError, ValueError):
            return []
        held = [
            replace(entry, versions=entry.versions or previous.versions, latency=known.get(entry.sha256, ()))
            for entry in previous.models
            if self._holds(entry)
        ]
        if (previous.dataset, previous.seed) == (header.dataset, header.seed):
            return held
        self._left_out = [entry.path for entry in held]
        return []

    def left_out(self, manifest: Manifest) -> Iterator[str]:
        """Says so where sound files of an earlier export are not among those of this one any more.

        Args:
            manifest: What is there now.

        Yields:
            A line, if there are any.
        """
        there = {entry.path for entry in manifest.models}
        if names := [Path(path).stem for path in self._left_out if path not in there]:
            others = f" and {len(names) - 1} more" if len(names) > 1 else ""
            yield (
                f"{names[0]}{others}: in the folder, but not in the manifest any more: of another training, or "
                "calibrated or measured on other images."
            )

    def _holds(self, entry: ModelEntry) -> bool:
        path = self.path / entry.path
        return path.is_file() and atomic_file.sha256_of(path) == entry.sha256

    def end(self) -> None:
        """Says that documents and the new manifest are written, so that the earlier one is not needed any more."""
        note(self._documents, record=self._written)
        self._aside.unlink(missing_ok=True)


def _is_manifest(path: Path) -> bool:
    """Tells whether a file may be a manifest, of any version."""
    try:
        data = read_json(path)
    except (OSError, ValueError):
        return False
    return isinstance(data, dict) and {"schema_version", "models"} <= set(data)
