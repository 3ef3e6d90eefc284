"""What `OnceForAll.fit` is given to train on, looked at before it trains: any form that Keras takes."""

from collections.abc import Iterator
from itertools import chain
from types import GeneratorType
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.data.batch_contract import outline
from ofar_tf.data.read_ahead import untuned
from ofar_tf.tasks.task import Task
from ofar_tf.text.size import Size

# Arrays are looked at in parts, since a look copies them.
_TOGETHER = 1024
_EXPECTED = "Expected images and labels as arrays of numbers, or batches of such in a tf.data.Dataset or a generator."


class Given(NamedTuple):
    """What to give to `keras.Model.fit`.

    Attributes:
        x: Images, or what gives batches.
        y: Labels of images that are arrays, else none.
        weights: Their weights, or none.
        form: What a step is traced for: the shapes of an image, of a label and of a weight. Given a second form,
            TensorFlow would trace one step for both, with unknown shapes.
    """

    x: Any
    y: Any = None
    weights: Any = None
    form: str = ""

    @property
    def shuffled_by_keras(self) -> bool:
        """Whether Keras can draw the order, as it should; else it would warn that it cannot."""
        return not isinstance(self.x, (tf.data.Dataset, tf.distribute.DistributedDataset, GeneratorType))


def trusted_data(x: Any, y: Any, weights: Any) -> Given:
    """Takes data as they are: arrays, a data set or a distributed one.

    Args:
        x: Images or batches.
        y: Labels of images that are arrays, else none.
        weights: Their weights, or none.
    """
    arrays = tuple(each for each in (x, y, weights) if each is not None)
    return Given(x, y, weights, _form(getattr(x, "element_spec", arrays)))


def checked_data(
    x: Any, y: Any, weights: Any, *, task: Task, size: Size, steps_per_epoch: int | None, epochs: int = 1
) -> Given:
    """Looks at data as `Task.checked` says: at all arrays, or at the first batch of what gives batches.

    Args:
        x: Images, or a `tf.data.Dataset`, a `keras.utils.PyDataset` or a generator of batches. What is distributed
            already is not looked at.
        y: Labels of images that are arrays, else none.
        weights: Their weights, or none.
        task: What is learned.
        size: That of the images.
        steps_per_epoch: As `fit` was told.
        epochs: How many there are to be.

    Raises:
        ValueError: If they are of another form, their values make no sense, or nothing says where an epoch ends of a
            data set without end, or of a generator that is to last for several epochs.
    """
    if isinstance(x, tf.data.Dataset):
        if steps_per_epoch is None and x.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError("Expected steps_per_epoch for a data set that repeats without end. Received: none.")
        return trusted_data(untuned(task.checked(x, size)), y, weights)
    if isinstance(x, tf.distribute.DistributedDataset):
        return trusted_data(x, y, weights)
    if isinstance(x, (keras.utils.PyDataset, GeneratorType)):
        if isinstance(x, GeneratorType) and steps_per_epoch is None and epochs > 1:
            raise ValueError(
                "Expected steps_per_epoch for a generator, which can be read once only and must last for all epochs. "
                f"Received: none, for {epochs} epochs."
            )
        first, x = _first_of(x)
        _look(first, task=task, size=size)
        return Given(x, y, weights, _form(first))
    if x is None:
        raise ValueError(f"{_EXPECTED} Received: nothing.")
    x, y, weights = map(_array, (x, y, weights))
    for part in _parts([each for each in (x, y, weights) if each is not None]):
        _look(part, task=task, size=size)
    return trusted_data(x, y, weights)


def _form(batch: Any) -> str:
    """Returns the shapes of the tensors of a batch, without its length."""
    return str(tf.nest.map_structure(lambda each: str(each.shape[1:] if hasattr(each, "shape") else each), batch))


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


def _first_of(batches: Any) -> tuple[Any, Any]:
    """Returns the first batch, and all of them: a generator has gone on."""
    if not isinstance(batches, GeneratorType):
        return batches[0], batches
    first = next(batches, None)
    if first is None:
        raise ValueError("Expected a generator that gives at least one batch. Received: one that gives none.")
    return first, (batch for batch in chain([first], batches))


def _parts(arrays: list[Any]) -> Iterator[tuple[Any, ...]]:
    lengths = {each.shape[0] if getattr(each, "shape", None) else -1 for each in arrays}
    if len(lengths) != 1 or -1 in lengths:
        yield tuple(arrays)
        return
    for start in range(0, max(*lengths, 1), _TOGETHER):
        yield tuple(np.asarray(each[start : start + _TOGETHER]) for each in arrays)
