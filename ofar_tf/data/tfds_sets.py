"""Image classification sets of tensorflow-datasets, read from disk; the network is used only when asked."""

import contextlib
import difflib
import functools
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf

from ofar_tf.data.decoding import decode_stored
from ofar_tf.data.image_dataset import ImageDataset
from ofar_tf.data.synset_names import named_synsets


def tfds_set(name: str, *, data_dir: str | os.PathLike[str] | None, download: bool) -> ImageDataset:
    """Returns a prepared set of tensorflow-datasets.

    Args:
        name: As `tfds.load` takes it: `cifar10`, `imagenette/160px-v2`, `my_set:1.0.0`.
        data_dir: Where sets are prepared; None for TFDS_DATA_DIR or ~/tensorflow_datasets.
        download: Whether a missing set may be downloaded and prepared.

    Returns:
        The data set, in the order in which it is stored. Images stay encoded until they are used, and then are decoded
        as they are stored: published figures ignore orientation tags, of which ImageNet has some. Classes that are
        known by the numbers of ImageNet's synsets get names, see `named_synsets`.

    Raises:
        FileNotFoundError: The set is not prepared in that directory (and could not be downloaded).
        ValueError: There is no such set, or it is not a set of 8-bit images with one label each.
    """
    builder = find_builder(name, data_dir)
    if builder.info.supervised_keys != ("image", "label"):
        _refuse_kind(builder.info, name)
    require_prepared(builder, name, download=download)
    features = builder.info.features
    _check_features(features, name)

    def stored(split: str, start: int, stop: int, *, ids: bool) -> tf.data.Dataset:
        import tensorflow_datasets as tfds

        return builder.as_dataset(
            split=tfds.core.ReadInstruction(split, from_=start, to=stop, unit="abs"),
            as_supervised=not ids,
            shuffle_files=False,
            decoders={"image": tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(try_autocache=False, add_tfds_id=ids),
        )

    def names(split: str, start: int, stop: int) -> tf.data.Dataset:
        return stored(split, start, stop, ids=True).map(lambda example: example["tfds_id"])

    return ImageDataset(
        name=name,
        class_names=named_synsets(features["label"].names),
        split_sizes={split: info.num_examples for split, info in builder.info.splits.items()},
        read=functools.partial(stored, ids=False),
        decode=lambda encoded: tf.ensure_shape(decode_stored(encoded), (*features["image"].shape[:2], 3)),
        names=names,
        digest=lambda split: stored_as(builder.info, split),
    )


def stored_as(info: Any, split: str) -> str:
    """Names the version and the files of a split; preparing other data gives other lengths or another size."""
    stored = info.splits[split]
    return f"{info.full_name} {split} {list(stored.shard_lengths)} {stored.num_bytes}"


def find_builder(name: str, data_dir: str | os.PathLike[str] | None) -> Any:
    """Returns tensorflow-datasets' builder of a set; the network is left alone.

    Args:
        name: See `tfds_set`.
        data_dir: See there.

    Raises:
        ValueError: There is no such set.
    """
    import tensorflow_datasets as tfds

    if os.sep in name and not tfds.core.naming.is_valid_dataset_name(name.partition(os.sep)[0]) and Path(name).is_dir():
        raise ValueError(
            "Expected dataset='image_folder' with the folder as data_dir (--dataset=image_folder --data_dir=...). "
            f"Received: dataset={name!r}."
        )
    try:
        parsed, _ = tfds.core.naming.parse_builder_name_kwargs(name)
        # A name with a namespace ('huggingface:mnist') makes tfds ask the network, whatever it is told.
        if parsed.namespace:
            raise ValueError(f"no namespaces such as {parsed.namespace!r}")
        with _quiet_about_absent_sets():
            return tfds.builder(name, data_dir=data_dir, try_gcs=False)
    except tfds.core.registered.DatasetNotFoundError as error:
        similar = difflib.get_close_matches(name.lower(), tfds.list_builders(with_community_datasets=False))
        known = ", ".join(["fashion_mnist_mini", "image_folder", *similar])
        raise ValueError(
            f"Expected a data set that is bundled, a folder or known to tensorflow-datasets ({known}, ...). "
            f"Received: dataset={name!r}."
        ) from error
    except (ValueError, AssertionError) as error:
        reason = str(error).splitlines()[0].removesuffix(": ")
        raise ValueError(f"Expected a name of tensorflow-datasets. Received: dataset={name!r} ({reason}).") from error


def require_prepared(builder: Any, name: str, *, download: bool) -> None:
    """Refuses a set that is not on disk, unless it may be downloaded.

    Args:
        builder: Its builder.
        name: See `tfds_set`.
        download: See there.

    Raises:
        FileNotFoundError: It is not there (and could not be downloaded).
    """
    if builder.is_prepared():
        return
    import tensorflow_datasets as tfds

    if download:
        try:
            builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
        except Exception as error:  # Anything can fail on the way: network, disk, checksums, a missing archive.
            reason = (str(error).splitlines() or [""])[0]
            raise FileNotFoundError(f"{_how_to_prepare(builder, name)} ({type(error).__name__}: {reason}).") from error
    else:
        raise FileNotFoundError(f"{_how_to_prepare(builder, name)}.")


def _how_to_prepare(builder: Any, name: str) -> str:
    root = str(builder.data_dir).removesuffix(builder.info.full_name).rstrip("/")
    command = f"`tfds build {name} --data_dir={root}`"
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        way = (
            f"fetch its archives by hand (see https://www.tensorflow.org/datasets/catalog/{builder.name}) into "
            f"{root}/downloads/manual, then {command}"
        )
    else:
        way = f"--download, or {command}"
    return f"Expected {name} prepared in {builder.data_dir} (to prepare it: {way}). Received: no such data set there"


def _refuse_kind(info: Any, name: str) -> NoReturn:
    if "BBoxFeature" in repr(info.features):
        raise ValueError(f"Expected --task=detection for images with boxes. Received: dataset={name!r} without it.")
    raise ValueError(
        "Expected --dataset to be of images with one class each (of supervised keys 'image' and 'label'). Received: "
        f"dataset={name!r} with supervised keys {info.supervised_keys}."
    )


def _check_features(features: Any, name: str) -> None:
    import tensorflow_datasets as tfds

    image, label = features["image"], features["label"]
    if not (isinstance(image, tfds.features.Image) and image.np_dtype == np.uint8):
        raise ValueError(f"Expected encoded images of 8 bits a channel. Received: dataset={name!r} with image={image}.")
    if not isinstance(label, tfds.features.ClassLabel):
        raise ValueError(f"Expected one class label for each image. Received: dataset={name!r} with label={label}.")


@contextlib.contextmanager
def _quiet_about_absent_sets() -> Iterator[None]:
    # tfds logs a warning when a folder is missing; our own error says it better and is the only line to read.
    logger = logging.getLogger("absl")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
