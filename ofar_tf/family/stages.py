"""The stages of an export whose results are remembered beside the files: save, convert, check and time."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ofar_tf.conversion.convert_files import convert_files
from ofar_tf.conversion.images import FamilyImages
from ofar_tf.conversion.jobs import ConversionJob, ConversionResult
from ofar_tf.conversion.keras_file import SavedMember, save_once
from ofar_tf.conversion.member import FamilyMember
from ofar_tf.conversion.precision import precision_named
from ofar_tf.family.checked_files import CheckedFiles
from ofar_tf.family.export_spec import ExportSpec
from ofar_tf.family.family_folder import FamilyFolder
from ofar_tf.family.manifest import ManifestHeader, ModelEntry
from ofar_tf.family.timing import time_files
from ofar_tf.files.scratch_folder import room_for_temporary_files
from ofar_tf.tasks.interface import Shipped
from ofar_tf.text.progress import WorkProgress
from ofar_tf.text.quantities import format_quantity
from ofar_tf.text.size import Size
from ofar_tf.tflite.metadata import FileMetadata


@dataclass(frozen=True)
class Stages:
    """The stages of an export that are remembered: networks are saved, converted, checked and timed.

    Attributes:
        members: The networks.
        task: What they learned.
        folder: Where to.
        labels: The class names, in the order of the outputs.
        header: How the networks were made.
        images: What files are made with and measured on.
        spec: Which files.
    """

    members: Sequence[FamilyMember]
    task: Shipped
    folder: FamilyFolder
    labels: Sequence[str]
    header: ManifestHeader
    images: FamilyImages
    spec: ExportSpec

    @property
    def kinds(self) -> list[tuple[str, str | None]]:
        """The precision and the form of each file of a member; None for the usual form."""
        usual = self.task.forms[:1]
        forms = [None if form in usual else form for form in self.spec.forms or usual] or [None]
        return [(precision, form) for precision in self.spec.precisions for form in forms]

    def make(self, progress: WorkProgress) -> tuple[list[ConversionResult], list[ModelEntry]]:
        """Writes the `.keras` files, converts each as soon as it is there, and checks files while others are converted.

        Args:
            progress: Learns of each step.

        Returns:
            A result for each member and precision in turn, and the entries of the files that were written.
        """
        checks = CheckedFiles(
            self.members,
            task=self.task,
            kinds=self.kinds,
            folder=self.folder,
            header=self.header,
            images=self.images,
            threads=self.spec.workers,
            on_done=progress.advance,
        )

        def saved_one_by_one(images: Mapping[tuple[str, Size], Path]) -> Iterator[ConversionJob]:
            for member in self.members:
                checks.saved[member.id] = self._save(member)
                progress.advance(f"saved {member.id}")
                yield from (self._job(member, *kind, images) for kind in self.kinds)

        with tempfile.TemporaryDirectory(prefix="ofar_tf_export_") as scratch:
            with room_for_temporary_files():
                paths = self.images.write(
                    Path(scratch),
                    precisions=self.spec.precisions,
                    resolutions=[member.size for member in self.members],
                    representative=self.spec.representative_images,
                    fine_tuning=self.spec.fine_tuning_images,
                )
            results = convert_files(
                saved_one_by_one(paths),
                workers=self.spec.workers,
                versions=self.header.versions,
                heirs=self.folder.for_heirs(),
                on_done=checks.check,
            )
        return results, [
            checks.entries[path] for result in results if (path := result.job.tflite_path) in checks.entries
        ]

    def _save(self, member: FamilyMember) -> SavedMember:
        return save_once(member, self.folder.keras_path(member.id), check_output=self._check_output)

    def _check_output(self, shape: Any) -> None:
        self.task.check_shipped(shape, self.labels)

    def time(self, entries: Sequence[ModelEntry], progress: WorkProgress) -> list[ModelEntry]:
        """Measures latency, and joins what was measured elsewhere or earlier of the same contents.

        Args:
            entries: The files.
            progress: Learns of each file.

        Returns:
            The same files with their latencies.
        """
        return time_files(
            entries,
            self.folder.path,
            threads=self.spec.latency_threads,
            known=self.folder.known_latencies(),
            on_done=progress.advance,
        )

    def _job(
        self, member: FamilyMember, precision: str, form: str | None, images: Mapping[tuple[str, Size], Path]
    ) -> ConversionJob:
        task = self.task
        return ConversionJob(
            keras_path=self.folder.keras_path(member.id),
            tflite_path=self.folder.tflite_path(member.id, precision, form),
            precision=precision,
            representative_path=images.get((precision, member.size)),
            metadata=self._metadata(member, form),
            fine_tuning=self.spec.fine_tuning if precision_named(precision).fine_tuned else None,
            mixed_algorithm=self.spec.mixed_algorithm,
            output_name=task.output_name,
            float_outputs=task.float_outputs,
            float_layers=task.float_layers,
            ending=task.ending(form),
        )

    def _metadata(self, member: FamilyMember, form: str | None) -> FileMetadata:
        network = (
            f"{self.task.describe(self.labels)}, {member.size.height}x{member.size.width} pixels, "
            f"{format_quantity(member.macs)} multiply-adds, structure {member.structure}."
        )
        credits = self.spec.credits
        described = replace(credits, description=f"{credits.description} {network}".strip())
        detector = self.task.metadata(form)
        if detector:
            detector = replace(detector, canvas=self.images.canvas)
        return FileMetadata(
            name=member.id, labels=tuple(self.labels), detector=detector, depth=self.images.depth, **vars(described)
        )
