"""Damaged images: which one made TensorFlow give up."""

import contextlib
import re
import sys
from collections.abc import Iterator

import tensorflow as tf

from ofar_tf.data.image_dataset import ImageDataset
from ofar_tf.data.splits import SplitPart
from ofar_tf.files.file_names import readable

# What TensorFlow raises for a file that cannot be decoded, a record whose checksum is wrong, and a file that is gone or
# locked.
_SYMPTOMS = (
    tf.errors.InvalidArgumentError,
    tf.errors.DataLossError,
    tf.errors.NotFoundError,
    tf.errors.PermissionDeniedError,
)
# Those of them that nothing but files causes.
_OF_FILES = (tf.errors.DataLossError, tf.errors.NotFoundError, tf.errors.PermissionDeniedError)
# One of these is in every error of a data pipeline, wherever it comes to light.
_READERS = ("Iterator", "Decode", "ReadFile", "ParseTensor", "ParseSingleExample", "Dataset")


class DamagedImageError(ValueError):
    """An image of the data set cannot be read; the message, one line, names it."""


@contextlib.contextmanager
def explain_damage(dataset: ImageDataset, *splits: str) -> Iterator[None]:
    """Turns TensorFlow's error about an image that cannot be read into one line that names the image.

    It costs nothing as long as all goes well. On an error that reading images may have caused, the splits are read
    again from their start to find it, on all cores; if they are sound, the error goes on as it came.

    What cannot be decoded is found. Bytes that were changed inside the picture part of a JPEG mostly give a picture, a
    wrong one: only tensorflow-datasets, whose records have checksums, tell.

    Args:
        dataset: The data set that the work inside reads.
        *splits: The splits that it reads, in the order in which to search them.

    Raises:
        DamagedImageError: A `ValueError`: an image of these splits cannot be read.
    """
    try:
        yield
    except _SYMPTOMS as error:
        if not _is_about_images(error):
            raise
        print("An image cannot be read; looking for it ...", file=sys.stderr)
        for split in dict.fromkeys(splits):
            damaged = find_damaged(dataset, split)
            if damaged:
                raise DamagedImageError(
                    "Expected images that can be decoded (mend or remove this one, then repeat the command). "
                    f"Received: {damaged}."
                ) from error
        raise


def _is_about_images(error: tf.errors.OpError) -> bool:
    """Whether an error can come from reading images; reading all of them again because of another takes long."""
    return isinstance(error, _OF_FILES) or any(name in str(error.message) for name in _READERS)


def find_damaged(dataset: ImageDataset, split: str) -> str | None:
    """Reads and decodes a split up to the first image that cannot be decoded.

    Args:
        dataset: The data set.
        split: A split string.

    Returns:
        The image's name and what is wrong with it; `None` if every image can be decoded.

    Raises:
        ValueError: There is no such split.
    """
    for part in dataset.parts(split):
        position, reason = 0, ""
        try:
            for _ in _decoded(dataset, part):
                position += 1
        except _SYMPTOMS as error:
            reason = _first_sentence(error)
        if reason:
            return f"{_name(dataset, part, position)} ({reason})"
    return None


def _decoded(dataset: ImageDataset, part: SplitPart) -> tf.data.Dataset:
    """Returns one number for each image, in order, each of which needs all of its pixels."""
    records = dataset.read(part.name, part.start, part.stop)
    return records.map(
        lambda record, label: tf.reduce_max(dataset.decode(record)),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def _name(dataset: ImageDataset, part: SplitPart, position: int) -> str:
    number = f"example {part.start + position} of split {part.name!r} of {dataset.name}"
    if dataset.names is None:
        return number
    try:
        (name,) = dataset.names(part.name, part.start, part.stop).skip(position).take(1).as_numpy_iterator()
    except _SYMPTOMS:  # The record itself is damaged, and its name with it.
        return number
    return readable(name)


def _first_sentence(error: tf.errors.OpError) -> str:
    """Returns what the operation said, without the nodes and iterators that TensorFlow names before and after it."""
    text = re.sub(r"\{\{.*?\}\}", "", str(error.message)).partition("[[")[0].partition("[Op:")[0]
    return " ".join(re.sub(r"^.*Iterator::\S+: ", "", text, flags=re.DOTALL).split()).rstrip(".")
