"""Sets of tensorflow-datasets with boxes, such as `coco/2017` and `voc/2012`, read from disk."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from ofar_tf.data.decoding import decode_stored
from ofar_tf.data.detection.annotations import OWN_AREA, Annotations
from ofar_tf.data.detection.dataset import DetectionDataset, first_rows
from ofar_tf.data.detection.found_split import BoxNotes, FoundSplit, believed
from ofar_tf.data.image_check import MANY
from ofar_tf.data.tfds_sets import find_builder, require_prepared, stored_as
from ofar_tf.files.cache_folder import remembered

_LABELS = ("label", "type")
_CROWDS = ("is_crowd", "is_difficult")
_ID = "image/id"
_TOGETHER = 1024
_COLUMNS = ("counts", "image_ids", "boxes", "classes", "crowd", "areas")
# The sizes of images come to light when they are decoded. This one decides only what is a pixel beyond the edge.
_NOMINAL = 500


class _Names(NamedTuple):
    """What a set calls an object's class, whether it need not be found, and its area; None where it has no such."""

    label: str
    crowd: str | None
    area: str | None


def tfds_boxes(name: str, *, data_dir: str | os.PathLike[str] | None, download: bool) -> DetectionDataset:
    """Returns a prepared set of tensorflow-datasets whose images have `objects` with boxes and one label each.

    All annotations are read once, when it is opened, without the images' bytes being parsed; those of more than 20,000
    images are remembered in `~/.cache/ofar_tf`. Images stay encoded until
    they are used, and are decoded as they are stored, see `tfds_set`.

    Args:
        name: As `tfds.load` takes it: `coco/2017`, `voc/2012`.
        data_dir: Where sets are prepared; None for TFDS_DATA_DIR or ~/tensorflow_datasets.
        download: Whether a missing set may be downloaded and prepared.

    Raises:
        FileNotFoundError: The set is not prepared in that directory (and could not be downloaded).
        ValueError: There is no such set, or it has no such objects.
    """
    builder = find_builder(name, data_dir)
    names = _names(builder.info.features, name)
    require_prepared(builder, name, download=download)
    sizes = {split: info.num_examples for split, info in builder.info.splits.items()}
    known = {split: _known(builder, split, size=size, names=names) for split, size in sizes.items()}
    first = first_rows(sizes)

    def read(split: str, start: int, stop: int) -> tf.data.Dataset:
        import tensorflow_datasets as tfds

        images = _stored(builder, split, start, stop, decoders={"image": tfds.decode.SkipDecoding()})
        rows = tf.data.Dataset.range(first[split] + start, first[split] + stop)
        return tf.data.Dataset.zip(images.map(lambda example: example["image"]), rows)

    return DetectionDataset(
        name=name,
        class_names=tuple(builder.info.features["objects"].feature[names.label].names),
        split_sizes=sizes,
        read=read,
        decode=decode_stored,
        digest=lambda split: stored_as(builder.info, split),
        notes=tuple(note for split, (_, mended) in known.items() for note in mended.sentences(split)),
        annotations=lambda split: known[split][0],
    )


def _stored(builder: Any, split: str, start: int, stop: int, *, decoders: Any) -> tf.data.Dataset:
    """Returns examples in the order in which they are stored, whatever part of a split they are.

    Files are read one after the other: read at once, they would give examples by turns, and in another order for every
    part, and no row of a table would be known to be that of an image.
    """
    import tensorflow_datasets as tfds

    return builder.as_dataset(
        split=tfds.core.ReadInstruction(split, from_=start, to=stop, unit="abs"),
        shuffle_files=False,
        decoders=decoders,
        read_config=tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1),
    )


def _names(features: Any, name: str) -> _Names:
    import tensorflow_datasets as tfds

    known = dict(features.items())
    objects: Any = getattr(known.get("objects"), "feature", {})
    image = known.get("image")
    if isinstance(image, tfds.features.Image) and image.np_dtype == np.uint8 and "bbox" in objects:
        labels = (each for each in _LABELS if each in objects)
        label = next((each for each in labels if isinstance(objects[each], tfds.features.ClassLabel)), None)
        if label is not None and isinstance(objects["bbox"], tfds.features.BBoxFeature):
            crowd = next((each for each in _CROWDS if each in objects), None)
            return _Names(label, crowd, "area" if "area" in objects else None)
    raise ValueError(
        "Expected --dataset with objects that have a bbox and a label for --task=detection; sets of classes go without "
        f"it. Received: dataset={name!r} with the features {', '.join(features)}."
    )


def _known(builder: Any, split: str, *, size: int, names: _Names) -> tuple[Annotations, BoxNotes]:
    def make() -> dict[str, np.ndarray]:
        return _read(builder, split, size=size, names=names)

    def read(columns: Mapping[str, np.ndarray]) -> tuple[Annotations, BoxNotes]:
        return _believed(builder, split, columns, size=size)

    if size <= MANY:
        return read(make())
    where = f"{builder.data_path} {stored_as(builder.info, split)} {names}"
    return remembered(hashlib.sha256(where.encode()).hexdigest(), make, read=read)


def _read(builder: Any, split: str, *, size: int, names: _Names) -> dict[str, np.ndarray]:
    """Reads the columns that `_believed` takes."""
    import tensorflow_datasets as tfds

    wanted = {each for each in ("bbox", *names) if each is not None}
    has_id = _ID in builder.info.features and builder.info.features[_ID].np_dtype == np.int64
    parts = {"objects": wanted, **({_ID: True} if has_id else {})}
    stored = _stored(builder, split, 0, size, decoders=tfds.decode.PartialDecoding(parts))
    columns = list(zip(*_columns(stored, names, has_id=has_id), strict=True))
    found = dict(zip(_COLUMNS, map(np.concatenate, columns), strict=True))
    return found if has_id else {**found, "image_ids": np.arange(size)}


def _believed(
    builder: Any, split: str, columns: Mapping[str, np.ndarray], *, size: int
) -> tuple[Annotations, BoxNotes]:
    found = FoundSplit(
        source=builder.data_path / split,
        root=builder.data_path,
        files=[f"example {number}" for number in range(size)],
        image_ids=columns["image_ids"],
        sizes=np.full((size, 2), _NOMINAL),
        rows=np.repeat(np.arange(size), columns["counts"]),
        boxes=columns["boxes"].astype(np.float64),
        classes=columns["classes"],
        crowd=columns["crowd"],
        areas=columns["areas"],
        relative=True,
    )
    return believed(found, found.sizes)


def _columns(stored: tf.data.Dataset, names: _Names, *, has_id: bool) -> Iterator[tuple[np.ndarray, ...]]:
    """Yields the `_COLUMNS` of many images at once."""
    for batch in stored.ragged_batch(_TOGETHER):
        objects = batch["objects"]
        boxes = objects["bbox"]
        counts = boxes.row_lengths().numpy()
        total = int(counts.sum())
        yield (
            counts,
            batch[_ID].numpy() if has_id else np.zeros(len(counts), np.int64),
            boxes.flat_values.numpy().reshape(total, 4),
            objects[names.label].flat_values.numpy(),
            objects[names.crowd].flat_values.numpy() if names.crowd else np.zeros(total, bool),
            objects[names.area].flat_values.numpy().astype(np.float64) if names.area else np.full(total, OWN_AREA),
        )
