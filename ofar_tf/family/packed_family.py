"""The resolutions of each structure of an export as signatures of one file, where that saves bytes."""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from ofar_tf.checks.measurement import tflite_accuracy
from ofar_tf.conversion.precision import MAX_TOP1_DROP
from ofar_tf.family.manifest import Manifest, ManifestHeader, ModelEntry
from ofar_tf.family.packed_file import PackedFile, PackedSignature
from ofar_tf.files import atomic_file
from ofar_tf.tasks.classification.accuracy import Batches
from ofar_tf.tflite.merged_signatures import largest_difference, pack, share_kernels
from ofar_tf.tflite.metadata import FileMetadata, read_metadata, with_metadata

FOLDER, DOCUMENT = "packed", "packed.json"
"""Names of the folder and of the document in an export folder."""

MIN_SAVING = 0.05
"""Least share of the bytes that a packed file must save to be written."""

_COMPARED_IMAGES = 32


def pack_family(
    manifest: Manifest, export_dir: str | Path, *, batches: Callable[[int], Batches], threads: int
) -> tuple[PackedFile, ...]:
    """Packs the resolutions of each structure and precision, and measures every signature.

    Writes `packed/<network and structure>_<precision>.tflite` and, last, `packed.json`, with the manifest's header.
    Files of 8-bit weights share their kernels although each resolution has BatchNorm statistics of its own (see
    `pack`); float files share almost nothing and are not written. MediaPipe refuses files with several signatures:
    these are for LiteRT itself.

    Args:
        manifest: What the export folder holds; files that failed a check are left out.
        export_dir: The folder.
        batches: Gives the evaluation images and labels at a resolution, from the start each time.
        threads: How many evaluation images are run at once.

    Returns:
        What was packed, and what was not and why, in the order of the manifest.

    Raises:
        RuntimeError: If a signature computes something else than the file that it was merged from.
    """
    folder = Path(export_dir)
    (folder / DOCUMENT).unlink(missing_ok=True)
    packed = tuple(
        _pack(entries, folder, batches=batches, threads=threads) for entries in _resolutions_together(manifest)
    )
    header = {field.name: getattr(manifest, field.name) for field in fields(ManifestHeader)}
    document = {**header, "packed": [asdict(file) for file in packed]}
    atomic_file.write_text(folder / DOCUMENT, json.dumps(document, indent=2) + "\n")
    return packed


def _resolutions_together(manifest: Manifest) -> Iterator[Sequence[ModelEntry]]:
    groups: dict[tuple[str, str], list[ModelEntry]] = {}
    for entry in manifest.models:
        if entry.checks.passed:
            groups.setdefault((entry.structure, entry.quantization), []).append(entry)
    return (entries for entries in groups.values() if len(entries) > 1)


@dataclass(frozen=True)
class _Part:
    """A file about to become a signature.

    Attributes:
        entry: The file.
        single: Its content.
        shared: Its content with the kernels that it can share.
        changed_weights: How many weights differ between the two.
    """

    entry: ModelEntry
    single: bytes
    shared: bytes
    changed_weights: int

    @property
    def signature(self) -> str:
        return f"r{self.entry.resolution}"


def _pack(
    entries: Sequence[ModelEntry], folder: Path, *, batches: Callable[[int], Batches], threads: int
) -> PackedFile:
    entries = sorted(entries, key=lambda entry: -entry.resolution)
    contents = [(folder / entry.path).read_bytes() for entry in entries]
    parts = [
        _Part(entry, content, *share_kernels(contents[0], content))
        for entry, content in zip(entries, contents, strict=True)
    ]
    about = _metadata(folder, parts)
    content = with_metadata(pack({part.signature: part.shared for part in parts}), about)
    file = PackedFile(
        structure=entries[0].structure,
        quantization=entries[0].quantization,
        bytes=len(content),
        single_bytes=sum(map(len, contents)),
        signatures=tuple(_measure(part, content, batches=batches, threads=threads) for part in parts),
    )
    reason = _reason_against(file, parts)
    if reason:
        return replace(file, reason=reason)
    path = folder / FOLDER / f"{about.name}_{file.quantization}.tflite"
    with atomic_file.replacing(path) as temporary:
        temporary.write_bytes(content)
    return replace(file, path=path.relative_to(folder).as_posix(), sha256=atomic_file.sha256_of(path))


def _metadata(folder: Path, parts: Sequence[_Part]) -> FileMetadata:
    """What the file of the largest resolution says, with the signatures."""
    first, names = parts[0].entry, ", ".join(part.signature for part in parts)
    about = read_metadata(folder / first.path)
    return replace(
        about,
        name=first.id.removesuffix(f"_{parts[0].signature}"),
        description=f"{about.description} Its signatures {names} are the same structure at those resolutions.",
    )


def _measure(part: _Part, content: bytes, *, batches: Callable[[int], Batches], threads: int) -> PackedSignature:
    entry, name = part.entry, part.signature
    pictures = np.asarray(next(iter(batches(entry.resolution)))[0])[:_COMPARED_IMAGES]
    # Merging files must change nothing at all; sharing kernels may.
    if largest_difference(content, name, part.shared, pictures) != 0.0:
        raise RuntimeError(
            f"Expected {name} of {entry.structure} to compute in company what it does alone. Received: "
            f"other numbers, in {entry.quantization}."
        )
    top1 = entry.top1
    if part.changed_weights:
        with tempfile.TemporaryDirectory(prefix="ofar_tf_packing_") as scratch:
            path = Path(scratch) / "shared.tflite"
            path.write_bytes(part.shared)
            top1 = tflite_accuracy(path, batches(entry.resolution), threads=threads).top1
    return PackedSignature(
        name=name,
        id=entry.id,
        resolution=entry.resolution,
        macs=entry.macs,
        top1=top1,
        changed_weights=part.changed_weights,
        max_difference=largest_difference(content, name, part.single, pictures),
    )


def _reason_against(file: PackedFile, parts: Sequence[_Part]) -> str | None:
    for signature, part in zip(file.signatures, parts, strict=True):
        if part.entry.top1 - signature.top1 > MAX_TOP1_DROP + 1e-9:
            return f"Its signature {signature.name} has top-1 {signature.top1:.4f}, its own file {part.entry.top1:.4f}."
    if file.saving < MIN_SAVING:
        return (
            f"It would save {max(file.saving, 0):.1%}: each resolution's BatchNorm statistics are part of its weights, "
            "which are equal only where they are stored as 8-bit integers."
        )
    return None
