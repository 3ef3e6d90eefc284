"""The data set inside the package: a class-balanced subset of Fashion-MNIST."""

import functools
import hashlib
from pathlib import Path

import numpy as np
import tensorflow as tf

from ofar_tf.data.image_dataset import ImageDataset

_FILE = Path(__file__).with_name("fashion_mnist_mini.npz")
CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def fashion_mnist_mini() -> ImageDataset:
    """Returns the bundled set: 5,000 `train` and 1,000 `test` images of 28x28 pixels, grey repeated to RGB.

    `make_fashion_mnist_mini.py` made it from Fashion-MNIST (Zalando SE 2017, MIT licence beside the file).
    """
    return ImageDataset(
        name="fashion_mnist_mini",
        class_names=CLASS_NAMES,
        split_sizes={"train": 5000, "test": 1000},
        read=_read,
        decode=repeat_grey,
        table=_table,
        digest=_digest,
    )


@functools.cache
def bundled_arrays() -> dict[str, np.ndarray]:
    """Returns the images uint8 [N, 28, 28] and labels uint8 [N] of both splits, as `train_images` and so on."""
    with np.load(_FILE) as archive:
        return dict(archive)


def _read(split: str, start: int, stop: int) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(_table(split, start, stop))


def _table(split: str, start: int, stop: int) -> tuple[tf.Tensor, tf.Tensor]:
    images = bundled_arrays()[f"{split}_images"][start:stop]
    labels = bundled_arrays()[f"{split}_labels"][start:stop]
    return tf.constant(images), tf.constant(labels.astype(np.int64))


def _digest(split: str) -> str:
    content = [bundled_arrays()[f"{split}_{kind}"].tobytes() for kind in ("images", "labels")]
    return hashlib.sha256(b"".join(content)).hexdigest()


def repeat_grey(image: tf.Tensor) -> tf.Tensor:
    """Returns a grey image [H, W] as RGB [H, W, 3]."""
    return tf.image.grayscale_to_rgb(image[..., tf.newaxis])
