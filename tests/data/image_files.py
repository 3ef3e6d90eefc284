"""Small image files, and what is read of them."""

from pathlib import Path

import tensorflow as tf


def write_image(path: Path, value: int = 0, *, channels: int = 3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = tf.fill([6, 8, channels], tf.cast(value, tf.uint8))
    encode = tf.io.encode_png if path.suffix.lower() == ".png" else tf.io.encode_jpeg
    path.write_bytes(encode(pixels).numpy())


def values_and_labels(dataset, split):
    return [(int(image[0, 0, 0]), int(label)) for image, label in dataset.examples(split).as_numpy_iterator()]
