"""How many images each class has, and how much the loss of one weighs."""

from collections.abc import Mapping, Sequence

import numpy as np

from ofar_tf.data.image_dataset import ImageDataset

BALANCED = "balanced"
"""The class weights n / (K * count): every class then weighs as much as any other."""


def count_labels(dataset: ImageDataset, split: str) -> np.ndarray:
    """Counts the images of each class in a split. No image is decoded, but where a set has no `table` all are read.

    Args:
        dataset: The data set.
        split: A split string.

    Returns:
        int64 [K].

    Raises:
        ValueError: There is no such split.
    """
    known = dataset.class_counts(split)
    if known is not None:
        return known
    batches = dataset.records(split).map(lambda record, label: label).batch(1024)
    labels = np.concatenate(list(batches.as_numpy_iterator()))
    return np.bincount(labels, minlength=len(dataset.class_names)).astype(np.int64)


def class_weights(given: str | Mapping[int, float] | Sequence[float], *, counts: Sequence[int]) -> np.ndarray:
    """Returns what the loss of an image of each class is multiplied with.

    Args:
        given: `balanced`; or a weight for each of the K classes; or, as Keras' `fit` takes it, weights by label, with 1
            for those that are not in it.
        counts: Number of training images of each class, [K].

    Returns:
        float32 [K]. Balanced ones are n / (K * count), as scikit-learn's; their mean over the n images is 1. A class
        without images, which no loss ever sees, has 0.

    Raises:
        ValueError: It is none of these, or a weight is negative, not finite, or none is positive.
    """
    classes = len(counts)
    if isinstance(given, str):
        if given != BALANCED:
            raise ValueError(f"Expected class weights as 'balanced' or numbers. Received: class_weight={given!r}.")
        known = np.asarray(counts, np.float64)
        return np.divide(known.sum(), classes * known, where=known > 0, out=np.zeros(classes)).astype(np.float32)
    if isinstance(given, Mapping):
        unknown = [label for label in given if label not in range(classes)]
        if unknown:
            raise ValueError(
                f"Expected class weights by labels from 0 to {classes - 1}. Received: class_weight with {unknown[0]!r}."
            )
        given = [given.get(label, 1.0) for label in range(classes)]
    weights = np.asarray(given, np.float32)
    if weights.shape != (classes,) or not np.isfinite(weights).all() or weights.min() < 0.0 or weights.max() == 0.0:
        raise ValueError(
            f"Expected {classes} class weights of 0 or more, one for each class. Received: class_weight={given!r:.200}."
        )
    return weights
