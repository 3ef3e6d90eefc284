"""Batches for training and evaluation, the same on every run and on every machine."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from ofar_tf.data.augmentation import Augmentation
from ofar_tf.data.epoch_order import Decode, as_written, shuffled_shares
from ofar_tf.data.image_dataset import ImageDataset
from ofar_tf.data.mixing import Mixing
from ofar_tf.data.preprocessing import check_view, evaluation_view
from ofar_tf.data.read_ahead import read_ahead

# A batch is mixed by the seed of its first image with this folded in, which no draw for that image alone uses.
_MIXING_DRAWS = 2
# Up to this side, in and out, the views of a batch are made in one call: a call for each image costs more than the view
# of so few pixels. Beyond it a call weighs nothing, and images are better spread over all processors one by one.
_SMALL_SIDE = 64


def steps_per_epoch(dataset: ImageDataset, split: str, batch_size: int) -> int:
    """Returns the number of whole batches in a split.

    Args:
        dataset: The data set.
        split: A split string.
        batch_size: Images in a batch, at least 1 and at most all of the split.

    Raises:
        ValueError: The batch is empty or larger than the split, or there is no such split.
    """
    size = dataset.num_examples(split)
    if not 1 <= batch_size <= size:
        raise ValueError(
            f"Expected a batch size from 1 to the {size} examples of {split!r}. Received: batch_size={batch_size}."
        )
    return size // batch_size


def training_batches(
    dataset: ImageDataset,
    split: str,
    *,
    batch_size: int,
    resolution: int,
    augmentation: Augmentation,
    mixing: Mixing | None = None,
    seed: int,
    start_epoch: int = 0,
    start_step: int = 0,
    part: tuple[int, int] = (0, 1),
    as_bytes: bool = False,
) -> tf.data.Dataset:
    """Returns an endless stream of shuffled, augmented batches, `steps_per_epoch` of them for each epoch.

    What an epoch holds, its order, its random views and what is mixed with what depend on `seed` and the epoch's number
    only. So a run that is resumed with `start_epoch=e` and `start_step=s` sees the very batches of one that was never
    interrupted, and no other random draw of the program, nor `tf.random.set_seed`, changes them. The examples that do
    not fill a batch are left out of the epoch; they are other ones each time.

    Splits of up to 65,536 examples are shuffled as a whole, and their records (not the decoded images) stay in memory
    after the first epoch. Larger ones are read anew in each epoch and shuffled within a buffer of 16,384 records, but
    in data sets with a `table`, which are shuffled as a whole.

    Args:
        dataset: The data set.
        split: A split string.
        batch_size: Images in a batch, B.
        resolution: Side R of the images, in pixels.
        augmentation: How each image is varied.
        mixing: How the images of a batch are mixed with each other; None for not at all.
        seed: Any 64-bit int.
        start_epoch: Number of the first epoch.
        start_step: How many of its batches are left out; none of their images is decoded.
        part: (i, n): returns the i-th, from 0, of n contiguous parts of every batch; no image of the others is decoded.
            With MixUp or CutMix, images are mixed with others of the same part.
        as_bytes: Whether images are rounded to uint8, a quarter of what is to be moved to a device. Images that are
            neither resized nor changed in colour nor mixed are whole numbers anyway.

    Returns:
        An endless dataset of (images float32 or uint8 [B / n, R, R, 3] in [0, 255], labels int64 [B / n]); with MixUp
        or CutMix, labels are probabilities, float32 [B / n, K].

    Raises:
        ValueError: A number is out of range, or there is no such split or augmentation.
    """
    check_view(resolution)
    if mixing is not None and mixing.classes < len(dataset.class_names):
        raise ValueError(
            f"Expected at least the {len(dataset.class_names)} classes of {dataset.name}. "
            f"Received: classes={mixing.classes}."
        )
    shares, decode = training_shares(
        dataset,
        split,
        batch_size=batch_size,
        seed=seed,
        start_epoch=start_epoch,
        start_step=start_step,
        part=part,
    )

    def view(record: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
        return augmentation.view(decode(record), draw, resolution=resolution)

    together = _are_small(dataset, split, resolution)
    viewed = _viewed(shares, view, count=batch_size // part[1], together=together)
    mixed = _mixed(viewed, mixing)
    return read_ahead(mixed.map(rounded_to_bytes) if as_bytes else mixed)


def training_shares(
    dataset: ImageDataset,
    split: str,
    *,
    batch_size: int,
    seed: int,
    start_epoch: int = 0,
    start_step: int = 0,
    part: tuple[int, int] = (0, 1),
) -> tuple[tf.data.Dataset, Decode]:
    """Returns what `training_batches` of any task are made of: shuffled examples that are not decoded yet.

    Args:
        dataset: The data set.
        split: A split string.
        batch_size: See `training_batches`, as all that follow.
        seed: See there.
        start_epoch: See there.
        start_step: See there.
        part: See there.

    Returns:
        An endless data set and what decodes a record, see `shuffled_shares`.

    Raises:
        ValueError: A number is out of range, or there is no such split.
    """
    steps_per_epoch(dataset, split, batch_size)  # Refuses a batch that no epoch can fill.
    number, parts = part
    if not 0 <= number < parts or batch_size % parts:
        raise ValueError(f"Expected one of n equal parts of {batch_size} images, as (i, n). Received: part={part}.")
    _check_at_least(0, start_epoch=start_epoch, start_step=start_step)
    shares, decode = shuffled_shares(
        dataset, split, batch_size=batch_size, part=part, seed=seed, start_epoch=start_epoch
    )
    return shares.skip(start_step) if start_step else shares, decode


def evaluation_batches(
    dataset: ImageDataset,
    split: str,
    *,
    batch_size: int,
    resolution: int,
    resize: int | None = None,
    limit: int | None = None,
    part: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Returns the batches of one pass over a split, in its order; the last one may be smaller.

    Args:
        dataset: The data set.
        split: A split string.
        batch_size: Images in a batch, B; may be more than there are.
        resolution: Side R of the images, in pixels.
        resize: Length of the shorter side before the central crop, in pixels; see `evaluation_view`.
        limit: Stop after this many images. Sets are stored with their classes mixed, so the first images are a fair
            sample.
        part: (i, n): returns every n-th batch, from the i-th on; no image of the others is decoded.

    Returns:
        A finite dataset of (images float32 [B, R, R, 3] in [0, 255], labels int64 [B]).

    Raises:
        ValueError: A number is out of range, or there is no such split.
    """
    check_view(resolution, resize)
    records = evaluation_records(dataset, split, batch_size=batch_size, limit=limit, part=part)

    @as_written
    def view(record: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return evaluation_view(dataset.decode(record), resolution=resolution, resize=resize), label

    views = records.map(view, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return read_ahead(views.batch(batch_size))


def evaluation_records(
    dataset: ImageDataset, split: str, *, batch_size: int, limit: int | None = None, part: tuple[int, int] = (0, 1)
) -> tf.data.Dataset:
    """Returns what `evaluation_batches` of any task are made of: the examples of a split, not decoded yet.

    Args:
        dataset: The data set.
        split: A split string.
        batch_size: See `evaluation_batches`, as all that follow.
        limit: See there.
        part: See there.

    Returns:
        A finite data set of (record, label).

    Raises:
        ValueError: A number is out of range, or there is no such split.
    """
    _check_at_least(1, batch_size=batch_size)
    records = dataset.records(split)
    if limit is not None:
        _check_at_least(1, limit=limit)
        records = records.take(limit)
    number, parts = part
    if parts > 1:
        own = records.enumerate().filter(lambda position, _: position // batch_size % parts == number)
        records = own.map(lambda _, example: example)
    return records


def _viewed(
    shares: tf.data.Dataset, view: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], *, count: int, together: bool
) -> tf.data.Dataset:
    """Turns (records, labels, seeds) into (images, labels, seeds).

    Args:
        shares: Batches of `count` examples.
        view: Called with a record and its seed; returns an image, float32 [R, R, 3].
        count: Images in a batch.
        together: Whether a batch is viewed in one call. Otherwise each image is, and all processors share a batch.
    """

    @as_written
    def view_one(record: tf.Tensor, label: tf.Tensor, draw: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return view(record, draw), label, draw

    @as_written
    def view_all(records: tf.Tensor, labels: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, ...]:
        images = tf.map_fn(lambda each: view(*each), (records, draws), fn_output_signature=tf.float32)
        return images, labels, draws

    if together:
        return shares.map(view_all, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    viewed = shares.unbatch().map(view_one, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return viewed.batch(count, drop_remainder=True)


def _are_small(dataset: ImageDataset, split: str, resolution: int) -> bool:
    """Whether all images have one known size, and few pixels before and after they are resized."""
    image, _ = dataset.examples(split).element_spec
    return image.shape.is_fully_defined() and max(*image.shape[:2], resolution) <= _SMALL_SIDE


def _mixed(batches: tf.data.Dataset, mixing: Mixing | None) -> tf.data.Dataset:
    """Takes the images' seeds off the batches, and mixes these if asked to."""
    if mixing is None or not mixing.mixes:
        return batches.map(as_written(lambda images, labels, draws: (images, labels)))
    return batches.map(
        as_written(
            lambda images, labels, draws: mixing.mix(images, labels, tf.random.fold_in(draws[0], _MIXING_DRAWS))
        ),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


@as_written
def rounded_to_bytes(images: tf.Tensor, labels: Any) -> tuple[tf.Tensor, Any]:
    """Returns a batch whose images are uint8, and its labels as they are."""
    return tf.cast(tf.round(images), tf.uint8), labels


def _check_at_least(least: int, **values: int) -> None:
    for name, value in values.items():
        if value < least:
            raise ValueError(f"Expected {name} of at least {least}. Received: {name}={value}.")
