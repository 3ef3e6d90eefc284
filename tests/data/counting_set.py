"""A data set whose images say which they are, and the batches of it."""

import dataclasses
import itertools

import numpy as np
import tensorflow as tf

from ofar_tf.data import Augmentation, ImageDataset, Mixing, training_batches

SIZE = 22


def counting_set(size: int = SIZE) -> tuple[ImageDataset, tf.Variable]:
    """A data set of 4x4 images; image k has the value k and the label k % 2. The variable counts the records read."""
    reads = tf.Variable(0)

    def read(split, start, stop):
        def counted(index):
            reads.assign_add(1)
            return index, index % 2

        return tf.data.Dataset.range(start, stop).map(counted)

    def decode(index):
        return tf.fill([4, 4, 3], tf.cast(index, tf.uint8))

    return ImageDataset("counting", ("even", "odd"), {"train": size, "test": 7}, read, decode), reads


def batches(count, *, dataset=None, split="train", **arguments):
    """The first batches; arguments are also the fields of `Augmentation` and of `Mixing`."""
    dataset = dataset or counting_set()[0]
    settings = {"batch_size": 4, "resolution": 4, "augmentation": "none", "seed": 1} | arguments

    def taken(kind):
        names = (field.name for field in dataclasses.fields(kind))
        return {name: settings.pop(name) for name in names if name in settings}

    mixed = {"classes": len(dataset.class_names)} | taken(Mixing)
    augmentation = Augmentation(settings.pop("augmentation"), **taken(Augmentation))
    stream = training_batches(dataset, split, augmentation=augmentation, mixing=Mixing(**mixed), **settings)
    return [(images.copy(), labels.copy()) for images, labels in itertools.islice(stream.as_numpy_iterator(), count)]


def values(epoch):
    return [int(value) for images, _ in epoch for value in images[:, 0, 0, 0]]


def of_unknown_size(dataset):
    """The same data set, but no one knows the images' size before they are decoded."""

    def decode(record):
        return tf.compat.v1.placeholder_with_default(dataset.decode(record), [None, None, 3])

    return dataclasses.replace(dataset, decode=decode)


def assert_equal_batches(left, right):
    for (images, labels), (other_images, other_labels) in zip(left, right, strict=True):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)
