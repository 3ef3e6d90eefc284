"""What `OnceForAll.fit` is given to train on, looked at before it trains: any form that Keras takes."""

from collections.abc import Iterator
from types import GeneratorType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.data.batch_contract import BatchContract, outline
from ofar_tf.data.read_ahead import untuned
from ofar_tf.tasks.classification.task import Classification
from ofar_tf.tasks.task import Task
from ofar_tf.text.size import Size

# Arrays are looked at in parts, since a look copies them.
_TOGETHER = 1024
_EXPECTED = "Expected images and labels as arrays of numbers, or batches of such in a tf.data.Dataset or a generator."


def checked_data(
    x: Any, y: Any, weights: Any, *, task: Task, size: Size, steps_per_epoch: int | None
) -> tuple[Any, Any, Any]:
    """Looks at data as `Task.checked` says: at all arrays, or at the first batch of what gives batches.

    Args:
        x: Images, or a `tf.data.Dataset`, a `keras.utils.PyDataset` or a generator of batches. What is distributed
            already is not looked at.
        y: Labels of images that are arrays, else none.
        weights: Their weights, or none.
        task: What is learned.
        size: That of the images.
        steps_per_epoch: As `fit` was told.

    Returns:
        Images, labels and weights to give to `keras.Model.fit` instead.

    Raises:
        ValueError: If they are of another form, their values make no sense, or a data set without end says nothing of
            where an epoch ends.
    """
    if isinstance(x, tf.data.Dataset):
        if steps_per_epoch is None and x.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError("Expected steps_per_epoch for a data set that repeats without end. Received: none.")
        return untuned(task.checked(x, size)), y, weights
    if isinstance(x, tf.distribute.DistributedDataset):
        return x, y, weights
    if isinstance(x, keras.utils.PyDataset):
        _look(x[0], task=task, size=size)
        return x, y, weights
    if isinstance(x, GeneratorType):
        return _from_first_on(x, task=task, size=size), y, weights
    if x is None:
        raise ValueError(f"{_EXPECTED} Received: nothing.")
    x, y, weights = map(_array, (x, y, weights))
    for part in _parts([each for each in (x, y, weights) if each is not None]):
        _look(part, task=task, size=size)
    return x, y, weights


def _array(given: Any) -> Any:
    """Returns lists as arrays, and everything else as it is."""
    if not isinstance(given, (list, tuple)):
        return given
    try:
        return np.asarray(given)
    except ValueError as error:  # Of lists of several lengths there is no array.
        raise ValueError(f"{_EXPECTED} Received: {len(given)} of several shapes.") from error


def _look(batch: Any, *, task: Task, size: Size) -> None:
    try:
        given = tf.data.Dataset.from_tensors(batch)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{_EXPECTED} Received: {outline(batch)}.") from error
    task.checked(given, size)


def _from_first_on(batches: GeneratorType, *, task: Task, size: Size) -> GeneratorType:
    first = next(batches, None)
    if first is None:
        raise ValueError("Expected a generator that gives at least one batch. Received: one that gives none.")
    _look(first, task=task, size=size)

    def again() -> Iterator[Any]:
        yield first
        for batch in batches:
            if isinstance(task, Classification):
                BatchContract(classes=task.classes).check_labels(np.asarray(batch[1]))
            yield batch

    return again()  # type: ignore[return-value]


def _parts(arrays: list[Any]) -> Iterator[tuple[Any, ...]]:
    lengths = {each.shape[0] if getattr(each, "shape", None) else -1 for each in arrays}
    if len(lengths) != 1 or -1 in lengths:
        yield tuple(arrays)
        return
    for start in range(0, max(*lengths, 1), _TOGETHER):
        yield tuple(np.asarray(each[start : start + _TOGETHER]) for each in arrays)
