"""The bundled detection set: items of Fashion-MNIST scattered over a canvas, so that every box is known exactly."""

import functools
import hashlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ofar_tf.data.bundled import CLASS_NAMES, bundled_arrays, repeat_grey
from ofar_tf.data.detection.annotations import OWN_AREA, Annotations
from ofar_tf.data.detection.dataset import DetectionDataset, first_rows

HEIGHT, WIDTH = 96, 128
_SIZES = {"train": 800, "test": 200}
_MOST_ITEMS = 4
# Sides of an item in pixels; they are stored with 28.
_LEAST_SIDE, _GREATEST_SIDE = 28, 56
_TRIES = 20
# What is brighter belongs to an item. Its outline fades out over a pixel or two.
_DARK = 24
_NOISE = 12


def fashion_mnist_scenes() -> DetectionDataset:
    """Returns 800 `train` and 200 `test` scenes of 96x128 pixels, with one to four items each.

    They are drawn anew, and always the same, from the bundled images of Fashion-MNIST: those of `train` hold items of
    its training images only. Items differ in size, touch but do not overlap, and lie on faint noise.
    """
    first = first_rows(_SIZES)

    def table(split: str, start: int, stop: int) -> tuple[tf.Tensor, tf.Tensor]:
        rows = tf.range(first[split] + start, first[split] + stop, dtype=tf.int64)
        return tf.constant(_scenes(split).images[start:stop]), rows

    return DetectionDataset(
        name="fashion_mnist_scenes",
        class_names=CLASS_NAMES,
        split_sizes=_SIZES,
        read=lambda split, start, stop: tf.data.Dataset.from_tensor_slices(table(split, start, stop)),
        decode=repeat_grey,
        table=table,
        digest=lambda split: hashlib.sha256(_scenes(split).images.tobytes()).hexdigest(),
        annotations=lambda split: _scenes(split).annotations,
        image_sizes=lambda split: np.tile([[HEIGHT, WIDTH]], [_SIZES[split], 1]),
    )


class _Scenes(NamedTuple):
    """uint8 [M, HEIGHT, WIDTH], and what is on them."""

    images: np.ndarray
    annotations: Annotations


@functools.cache
def _scenes(split: str) -> _Scenes:
    random = np.random.default_rng(list(_SIZES).index(split))
    items, labels = (bundled_arrays()[f"{split}_{kind}"] for kind in ("images", "labels"))
    images = random.integers(0, _NOISE, (_SIZES[split], HEIGHT, WIDTH), dtype=np.uint8)
    counts, boxes, classes = [], [], []
    for canvas in images:
        chosen = random.integers(len(items), size=random.integers(1, _MOST_ITEMS + 1))
        taken: list[tuple[int, int, int, int]] = []
        for index in chosen:
            box = _place(canvas, items[index], taken, random)
            if box is not None:
                taken.append(box)
                classes.append(labels[index])
        boxes += taken
        counts.append(len(taken))
    sides = np.array([HEIGHT, WIDTH, HEIGHT, WIDTH])
    total = len(boxes)
    return _Scenes(
        images,
        Annotations(
            image_ids=first_rows(_SIZES)[split] + np.arange(len(images)),
            counts=np.array(counts),
            boxes=(np.array(boxes) / sides).astype(np.float32),
            classes=np.array(classes, np.int32),
            crowd=np.zeros(total, bool),
            areas=np.full(total, OWN_AREA, np.float32),
        ),
    )


def _place(
    canvas: np.ndarray, item: np.ndarray, taken: list[tuple[int, int, int, int]], random: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """Draws an item where there is room; returns its box in pixels, and None where no try found any."""
    side = int(random.integers(_LEAST_SIDE, _GREATEST_SIDE + 1))
    nearest = np.arange(side) * len(item) // side
    picture = item[nearest][:, nearest]
    rows, columns = np.flatnonzero((picture > _DARK).any(1)), np.flatnonzero((picture > _DARK).any(0))
    picture = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = picture.shape
    for _ in range(_TRIES):
        top, left = int(random.integers(HEIGHT - height + 1)), int(random.integers(WIDTH - width + 1))
        box = (top, left, top + height, left + width)
        if not any(_overlap(box, other) for other in taken):
            place = canvas[box[0] : box[2], box[1] : box[3]]
            np.maximum(place, picture, out=place)
            return box
    return None


def _overlap(box: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
