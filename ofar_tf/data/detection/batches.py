"""Batches of images with boxes for training and evaluation, the same on every run and on every machine."""

import tensorflow as tf

from ofar_tf.data.detection.annotations import OWN_AREA
from ofar_tf.data.detection.augmentation import BoxAugmentation
from ofar_tf.data.detection.dataset import DetectionDataset
from ofar_tf.data.detection.views import on_canvas
from ofar_tf.data.detection.visible import Labels
from ofar_tf.data.epoch_order import as_written
from ofar_tf.data.pipeline import evaluation_records, rounded_to_bytes, training_shares
from ofar_tf.data.read_ahead import read_ahead
from ofar_tf.text.size import Size

_NONE = BoxAugmentation()


def training_batches(
    dataset: DetectionDataset,
    split: str,
    *,
    batch_size: int,
    size: Size,
    augmentation: BoxAugmentation = _NONE,
    seed: int,
    start_epoch: int = 0,
    start_step: int = 0,
    part: tuple[int, int] = (0, 1),
    as_bytes: bool = False,
) -> tf.data.Dataset:
    """Returns an endless stream of shuffled batches, with the promises of `ofar_tf.data.training_batches`.

    Args:
        dataset: The data set.
        split: A split string.
        batch_size: Images in a batch, B.
        size: Height H and width W of the canvas, in pixels.
        augmentation: How images and boxes are varied.
        seed: Any 64-bit int.
        start_epoch: Number of the first epoch.
        start_step: How many of its batches are left out; none of their images is decoded.
        part: (i, n): returns the i-th, from 0, of n contiguous parts of every batch.
        as_bytes: See `ofar_tf.data.training_batches`.

    Returns:
        An endless data set of (images, labels), see `evaluation_batches`; `area` stays that of the original object.

    Raises:
        ValueError: A number is out of range, or there is no such split.
    """
    shares, decode = training_shares(
        dataset,
        split,
        batch_size=batch_size,
        seed=seed,
        start_epoch=start_epoch,
        start_step=start_step,
        part=part,
    )
    known = dataset.known.lookup(dataset.most_boxes)

    @as_written
    def view(record: tf.Tensor, row: tf.Tensor, draw: tf.Tensor) -> tuple[tf.Tensor, Labels, tf.Tensor]:
        image = decode(record)
        return *augmentation.view(image, _in_pixels(known(row), image), draw, size=size), draw

    views = shares.unbatch().map(view, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    batches = views.batch(batch_size // part[1], drop_remainder=True)
    mixed = batches.map(as_written(augmentation.mixed), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return read_ahead(mixed.map(rounded_to_bytes) if as_bytes else mixed)


def evaluation_batches(
    dataset: DetectionDataset,
    split: str,
    *,
    batch_size: int,
    size: Size,
    limit: int | None = None,
    part: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Returns the batches of one pass over a split, in its order; the last one may be smaller.

    Args:
        dataset: The data set.
        split: A split string.
        batch_size: Images in a batch, B; may be more than there are.
        size: Height H and width W of the canvas, in pixels.
        limit: Stop after this many images.
        part: (i, n): returns every n-th batch, from the i-th on; no image of the others is decoded.

    Returns:
        A finite data set of (images, labels). Images, float32 [B, H, W, 3] in [0, 255], are as large as they fit on
        the canvas with their aspect kept, at its top left, and black beside that. Labels are a dict, with as many rows
        N for each image as any image of the data set has boxes:

        - `boxes` float32 [B, N, 4]: top, left, bottom, right, as shares of the canvas' height and width;
        - `classes` int32 [B, N]: from 0, and -1 in rows without a box;
        - `crowd` bool [B, N]: boxes that count neither when they are found nor when they are missed;
        - `area` float32 [B, N]: the object's own area in pixels of the original image, the box's where none is known;
        - `image_size` float32 [B, 2]: height and width of the original image, in pixels;
        - `content` float32 [B, 2]: shares of the canvas' height and width that the image covers;
        - `image_id` int64 [B]: what the annotations call the image.

    Raises:
        ValueError: A number is out of range, or there is no such split.
    """
    records = evaluation_records(dataset, split, batch_size=batch_size, limit=limit, part=part)
    known = dataset.known.lookup(dataset.most_boxes)

    @as_written
    def view(record: tf.Tensor, row: tf.Tensor) -> tuple[tf.Tensor, Labels]:
        return _whole(dataset.decode(record), known(row), size)

    views = records.map(view, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return read_ahead(views.batch(batch_size))


def _whole(image: tf.Tensor, known: Labels, size: Size) -> tuple[tf.Tensor, Labels]:
    """Returns the canvas of a whole image, and its labels."""
    canvas, content = on_canvas(image, size)
    labels = _in_pixels(known, image)
    return canvas, {**labels, "boxes": known["boxes"] * tf.tile(content, [2]), "content": content}


def _in_pixels(known: Labels, image: tf.Tensor) -> Labels:
    """Adds the size of the original image, and the areas of objects of which only the box is known."""
    image_size = tf.cast(tf.shape(image)[:2], tf.float32)
    sides = (known["boxes"][:, 2:] - known["boxes"][:, :2]) * image_size
    area = tf.where(known["area"] == OWN_AREA, sides[:, 0] * sides[:, 1], known["area"])
    return {**known, "area": area, "image_size": image_size}
