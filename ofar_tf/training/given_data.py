"""What `OnceForAll.fit` is given to train on, looked at before it trains: any form that Keras takes."""

from collections.abc import Iterator
from types import GeneratorType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.data.read_ahead import untuned
from ofar_tf.tasks.task import Task
from ofar_tf.text.size import Size

# Arrays are looked at in parts, since a look copies them.
_TOGETHER = 1024


def checked_data(
    x: Any, y: Any, weights: Any, *, task: Task, size: Size, steps_per_epoch: int | None
) -> tuple[Any, Any]:
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
        Images and labels to give to `keras.Model.fit` instead.

    Raises:
        ValueError: If they are of another form, their values make no sense, or a data set without end says nothing of
            where an epoch ends.
    """
    if isinstance(x, tf.data.Dataset):
        if steps_per_epoch is None and x.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError("Expected steps_per_epoch for a data set that repeats without end. Received: none.")
        return untuned(task.checked(x, size)), y
    if isinstance(x, tf.distribute.DistributedDataset):
        return x, y
    if isinstance(x, keras.utils.PyDataset):
        _look(x[0], task=task, size=size)
        return x, y
    if isinstance(x, GeneratorType):
        return _from_first_on(x, task=task, size=size), y
    x, y = (np.asarray(each) if isinstance(each, (list, tuple)) else each for each in (x, y))
    for part in _parts([each for each in (x, y, weights) if each is not None]):
        _look(part, task=task, size=size)
    return x, y


def _look(batch: Any, *, task: Task, size: Size) -> None:
    task.checked(tf.data.Dataset.from_tensors(batch), size)


def _from_first_on(batches: GeneratorType, *, task: Task, size: Size) -> GeneratorType:
    first = next(batches)
    _look(first, task=task, size=size)

    def again() -> Iterator[Any]:
        yield first
        yield from batches

    return again()  # type: ignore[return-value]


def _parts(arrays: list[Any]) -> Iterator[tuple[Any, ...]]:
    if not all(hasattr(each, "shape") for each in arrays) or len({len(each) for each in arrays}) > 1:
        yield tuple(arrays)
        return
    for start in range(0, max(len(arrays[0]), 1), _TOGETHER):
        yield tuple(np.asarray(each[start : start + _TOGETHER]) for each in arrays)
