"""A folder of images with annotation files, whatever their format: checked, ordered and divided."""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import tensorflow as tf

from ofar_tf.data.class_folders import WHOLE
from ofar_tf.data.detection.annotations import Annotations
from ofar_tf.data.detection.dataset import DetectionDataset, first_rows
from ofar_tf.data.detection.found_split import BoxNotes, FoundSplit, believed
from ofar_tf.data.detection.turned_boxes import sizes_seen, turned_with_images, upright_sizes
from ofar_tf.data.folder_division import said_of_division, scattered_by, train_and_validation
from ofar_tf.data.image_check import MANY, file_decoder, findings_of, try_image
from ofar_tf.data.image_header import ImageHeader
from ofar_tf.data.refused_files import require_none
from ofar_tf.files.cache_folder import remembered
from ofar_tf.files.file_names import readable


def annotated_folder(
    name: str,
    found: Mapping[str, FoundSplit],
    *,
    class_names: Sequence[str],
    data_dir: Path,
    split_seed: int,
    notes: Sequence[str] = (),
) -> DetectionDataset:
    """Returns a data set of images whose annotations were read.

    Every image file is opened once, so that one that is missing, cut off or no image is found now (of splits of more
    than 20,000 images it is remembered in `~/.cache/ofar_tf` what was found). The order within a
    split depends on the files' names and the seed only.

    Args:
        name: The data set's name.
        found: What was found, by split; a single one named `all` is divided 80/20 into `train` and `validation`.
        class_names: The classes, by which `found` counts.
        data_dir: The folder, for messages.
        split_seed: Any int; another seed gives other orders, and so another `train` and `validation`.
        notes: What a user should know besides.

    Raises:
        FileNotFoundError: Images are missing.
        ValueError: A file is no readable image or not of the size that its annotations say, or boxes make no sense.
    """
    scattered = {split: _in_order(part, seed=split_seed) for split, part in found.items()}
    headers = {split: _headers(part) for split, part in scattered.items()}
    checked = {split: _checked(part, headers[split]) for split, part in scattered.items()}
    findings = findings_of(Path(), {path: header for part in headers.values() for path, header in part.items()})
    splits = {split: _Split(list(headers[split]), annotations) for split, (annotations, _) in checked.items()}
    sizes = {split: len(part.paths) for split, part in splits.items()}
    first = first_rows(sizes)
    within = train_and_validation(sizes[WHOLE]) if list(sizes) == [WHOLE] else {}

    def table(split: str, start: int, stop: int) -> tuple[tf.Tensor, tf.Tensor]:
        rows = tf.range(first[split] + start, first[split] + stop, dtype=tf.int64)
        return splits[split].names[start:stop], rows

    return DetectionDataset(
        name=name,
        class_names=tuple(class_names),
        split_sizes=sizes,
        read=lambda split, start, stop: tf.data.Dataset.from_tensor_slices(table(split, start, stop)),
        decode=file_decoder(findings),
        depth=findings.depth,
        names=lambda split, start, stop: tf.data.Dataset.from_tensor_slices(splits[split].names[start:stop]),
        table=table,
        within=within,
        division=said_of_division(data_dir, within, lacks="splits", how="by the files' names", seed=split_seed),
        digest=lambda split: splits[split].digest(scattered[split].files),
        notes=(
            *notes,
            *findings.said_of_bits(data_dir),
            *(note for split, (_, mended) in checked.items() for note in mended.sentences(split)),
        ),
        files=lambda split, start, stop: [Path(path) for path in splits[split].paths[start:stop]],
        annotations=lambda split: splits[split].annotations,
        image_sizes=lambda split: _upright_sizes(headers[split]),
    )


@dataclass(frozen=True)
class _Split:
    paths: Sequence[str]
    annotations: Annotations

    @cached_property
    def names(self) -> tf.Tensor:
        return tf.constant(self.paths)

    def digest(self, files: Sequence[str]) -> str:
        known = self.annotations
        digest = hashlib.sha256("\n".join(files).encode())
        for each in (known.counts, known.boxes, known.classes, known.crowd):
            digest.update(np.ascontiguousarray(each).tobytes())
        return digest.hexdigest()


def _in_order(found: FoundSplit, *, seed: int) -> FoundSplit:
    """Scatters images by their names."""
    hashes = [scattered_by(name, seed=seed) for name in found.files]
    order = sorted(range(len(hashes)), key=hashes.__getitem__)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return replace(
        found,
        files=[found.files[index] for index in order],
        image_ids=found.image_ids[order],
        sizes=found.sizes[order],
        rows=place[found.rows],
    )


def _headers(found: FoundSplit) -> dict[str, ImageHeader]:
    """Opens every image once; those of large splits again only where a file has changed."""
    paths = found.paths
    stamp = _stamp(found, paths)

    def make() -> dict[str, np.ndarray]:
        with ThreadPoolExecutor() as pool:
            tried = list(pool.map(try_image, paths))
        require_none([each for each in tried if isinstance(each, ValueError)])
        return {"headers": np.array([each for each in tried if isinstance(each, ImageHeader)], np.int64)}

    def read(arrays: Mapping[str, np.ndarray]) -> dict[str, ImageHeader]:
        rows = arrays["headers"].tolist()
        headers = (ImageHeader(width, height, bits, bool(usual), tag) for width, height, bits, usual, tag in rows)
        return dict(zip(map(str, paths), headers, strict=True))

    return read(make()) if len(paths) <= MANY else remembered(stamp, make, read=read)


def _stamp(found: FoundSplit, paths: Sequence[Path]) -> str:
    """Returns a digest of the names, sizes and times of the files, all of which must be there."""
    digest, missing = hashlib.sha256(), []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            missing.append(path)
        else:
            digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    if missing:
        raise FileNotFoundError(
            f"Expected the {len(paths)} images that {readable(found.source)} names in {readable(found.root)}. "
            f"Received: {len(missing)} of them missing, the first {readable(missing[0].name)}."
        )
    return digest.hexdigest()


def _upright_sizes(headers: Mapping[str, ImageHeader]) -> np.ndarray:
    return upright_sizes(*_stored(headers))


def _stored(headers: Mapping[str, ImageHeader]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the heights and widths of images as they are stored, [M, 2], and their orientation tags, [M]."""
    tags = np.array([header.orientation for header in headers.values()])
    return np.array([(header.height, header.width) for header in headers.values()]), tags


def _checked(found: FoundSplit, headers: Mapping[str, ImageHeader]) -> tuple[Annotations, BoxNotes]:
    stored, tags = _stored(headers)
    seen = sizes_seen(found, stored=stored, tags=tags)
    annotations, notes = believed(found, seen)
    return turned_with_images(annotations, sizes=seen, stored=stored, tags=tags), notes
