"""The files of an export, each checked and measured as soon as it is converted."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ofar_tf.checks.measurement import Measurer
from ofar_tf.conversion.images import FamilyImages
from ofar_tf.conversion.jobs import ConversionResult
from ofar_tf.conversion.keras_file import SavedMember
from ofar_tf.conversion.member import FamilyMember
from ofar_tf.family.family_folder import FamilyFolder
from ofar_tf.family.file_entry import file_entry
from ofar_tf.family.manifest import ManifestHeader, ModelEntry
from ofar_tf.tasks.interface import Shipped


class CheckedFiles:
    """Makes the manifest's entry of each file; the network it is compared with is kept until its last file came.

    Args:
        members: The networks.
        task: What they learned.
        kinds: The precision and the form of each file of a network; None for the usual form.
        folder: Where the files lie.
        header: How the networks were made.
        images: What files are measured on.
        threads: How many images are run at once.
        on_done: Called after each step with what was done, a few words.

    Attributes:
        saved: What was found when a member's `.keras` file was written, by its id; to be filled by the caller.
        entries: The entries of the files so far, by path.
    """

    def __init__(
        self,
        members: Sequence[FamilyMember],
        *,
        task: Shipped,
        kinds: Sequence[tuple[str, str | None]],
        folder: FamilyFolder,
        header: ManifestHeader,
        images: FamilyImages,
        threads: int,
        on_done: Callable[[str], None],
    ):
        self.saved: dict[str, SavedMember] = {}
        self.entries: dict[Path, ModelEntry] = {}
        self._folder = folder
        self._header = header
        self._images = images
        self._task = task
        self._threads = threads
        self._on_done = on_done
        self._files = {folder.tflite_path(member.id, *kind): (member, *kind) for member in members for kind in kinds}
        self._left = dict.fromkeys((member.id for member in members), len(kinds))
        self._measurers: dict[str, Measurer] = {}

    def check(self, result: ConversionResult) -> None:
        """Checks a file that was written; one that could not be is only counted.

        Args:
            result: How its conversion ended.
        """
        path = result.job.tflite_path
        member, precision, form = self._files[path]
        self._on_done(f"converted {path.stem}")
        if not result.error:
            self.entries[path] = file_entry(
                member,
                path,
                task=self._task,
                precision=precision,
                form=form,
                measurer=self._measurer(member),
                folder=self._folder,
                parity=self.saved[member.id].parity,
                versions=result.versions,
            )
        self._on_done(f"checked {path.stem}")
        self._left[member.id] -= 1
        if not self._left[member.id]:
            self._measurers.pop(member.id, None)

    def _measurer(self, member: FamilyMember) -> Measurer:
        if member.id not in self._measurers:
            images = self._images
            self._measurers[member.id] = Measurer(
                keras_path=self._folder.keras_path(member.id),
                task=self._task,
                batches=partial(images.evaluation, member.size),
                evaluation={"dataset": self._header.dataset, "versions": self._header.versions},
                threads=self._threads,
                selection=partial(images.selection, member.size) if images.selection else None,
            )
        return self._measurers[member.id]
