"""What a batch of labelled images must look like: one check for training, evaluation and export."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from ofar_tf.data.color import as_rgb

# Resizing and compression may leave the range by less than a grey level, which is the same image.
_TOLERANCE = 0.5
# What a row of probabilities may miss 1 by: label smoothing and mixing in float16 included.
_SUM_TOLERANCE = 1e-2
_EXPECTED_SHARES = "Expected rows of probabilities, none negative and with the sum 1."


@dataclass(frozen=True, kw_only=True)
class BatchContract:
    """Images in 0..255 and their labels, as `fit`, `evaluate_pool` and `export_family` take them.

    A batch is (images, labels) or (images, labels, weights):

    - images [B, R, R, 3], float32 in 0..255, or uint8 (any other number is taken as well); gray ones, [B, R, R] or
      [B, R, R, 1], are repeated to RGB;
    - labels, whole numbers [B] or [B, 1] from 0 to K - 1; or one-hot or other probabilities [B, K], whose rows have the
      sum 1;
    - weights of the images' losses, [B] or [B, 1], none negative.

    `applied` and `check` look once, outside of traced functions, and say what is wrong in two sentences.
    `normalized` gives every batch the one form that the rest of the program knows, and watches over its labels.

    Attributes:
        classes: Number of classes K.
        resolution: Side R in pixels; `None` for any square.
    """

    classes: int
    resolution: int | None = None

    def __post_init__(self) -> None:
        if self.classes < 2 or (self.resolution is not None and self.resolution < 1):
            raise ValueError(f"Expected two or more classes and a resolution of 1 or more. Received: {self}.")

    def check(self, images: Any, labels: Any, weights: Any = None) -> None:
        """Looks at a batch, or at all images and labels as arrays.

        Args:
            images: An array or a tensor with values.
            labels: The same.
            weights: The same; `None` for no weights.

        Raises:
            ValueError: The batch is not as the contract says.
        """
        batch = tuple(np.asarray(each) for each in (images, labels, weights) if each is not None)
        self._check_form(batch)
        if len({len(each) for each in batch}) > 1:
            raise ValueError(
                "Expected as many labels (and weights) as images. "
                f"Received: {' and '.join(str(len(each)) for each in batch)}."
            )
        if len(batch[0]) == 0:
            raise ValueError("Expected at least one image. Received: none.")
        _check_pixels(batch[0])
        self._check_labels(batch[1])
        if len(batch) == 3:
            _check_weights(batch[2])

    def normalized(self, images: Any, labels: Any, weights: Any = None) -> tuple[tf.Tensor, ...]:
        """Returns a batch in the one form; for `tf.data.Dataset.map` and for traced functions.

        Every batch's labels are looked at, which takes no time; `explained` makes its own sentence of the error.

        Args:
            images: The images.
            labels: The labels.
            weights: The weights; `None` for no weights.

        Returns:
            Images float32 [B, R, R, 3]; labels, int64 [B] or probabilities float32 [B, K]; and the weights, float32
            [B], where there are any.
        """
        labels = watched_labels(labels, classes=self.classes)
        images = as_rgb(tf.cast(images, tf.float32))
        return (images, labels) if weights is None else (images, labels, tf.reshape(tf.cast(weights, tf.float32), [-1]))

    def applied(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Returns the batches of a data set in the one form, after a look at what it promises and at its first batch.

        Args:
            batches: The data set; it is begun once, and one batch of it is read.

        Raises:
            ValueError: It is no data set of such batches, or it is empty.
        """
        # What the data set may leave open, a tensor's rank or whether labels are [B, 1], is as in the first batch.
        known = [[None, *each.shape[1:]] for each in self._first_batch(batches)]

        def normalized(*batch: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return self.normalized(*(tf.ensure_shape(each, shape) for each, shape in zip(batch, known, strict=True)))

        return batches.map(normalized, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def _first_batch(self, batches: tf.data.Dataset) -> tuple[tf.Tensor, ...]:
        if not isinstance(batches, tf.data.Dataset):
            raise ValueError(f"Expected a tf.data.Dataset of batches (images, labels). Received: {outline(batches)}.")
        self._check_form(batches.element_spec)
        batch = next(iter(batches.take(1)), None)
        if batch is None:
            raise ValueError("Expected a data set with at least one batch. Received: an empty one.")
        self.check(*batch)
        return batch

    def _check_form(self, batch: Any) -> None:
        """Looks at shapes and dtypes: of arrays, or of what a data set promises, where sides may be unknown."""
        if not isinstance(batch, tuple) or len(batch) not in (2, 3) or not all(map(_is_one_array, batch)):
            raise ValueError(
                "Expected batches (images, labels) or (images, labels, weights), each one tensor. "
                f"Received: {outline(batch)}."
            )
        forms = [(tf.TensorShape(each.shape), tf.as_dtype(each.dtype)) for each in batch]
        (images, image_type), (labels, label_type), *weights = forms
        side = self.resolution
        right = [[None, side, side, 3], [None, side, side, 1], [None, side, side]]
        is_square = images.rank not in (3, 4) or None in images[1:3] or images[1] == images[2]
        if not any(map(images.is_compatible_with, right)) or not is_square or not _is_number(image_type):
            wanted = "R" if side is None else side
            raise ValueError(
                f"Expected images [batch, {wanted}, {wanted}, 3], or gray ones, of numbers in 0..255. "
                f"Received: {outline(batch[0])}."
            )
        indices = labels.is_compatible_with([None]) or labels.is_compatible_with([None, 1])
        shares = labels.is_compatible_with([None, self.classes])
        right_type = (indices and _is_number(label_type)) or (shares and (_is_number(label_type) or label_type.is_bool))
        if not right_type:
            raise ValueError(
                f"Expected labels as integers [batch], or as probabilities [batch, {self.classes}]. "
                f"Received: {outline(batch[1])}."
            )
        for shape, dtype in weights:
            if not (shape.is_compatible_with([None]) or shape.is_compatible_with([None, 1])) or not _is_number(dtype):
                raise ValueError(f"Expected weights [batch] of numbers. Received: {outline(batch[2])}.")

    def _check_labels(self, labels: np.ndarray) -> None:
        if labels.size == len(labels):
            wrong = labels[~((labels >= 0) & (labels < self.classes) & (labels == np.floor(labels)))]
            if wrong.size:
                raise ValueError(f"{_expected_labels(self.classes)} Received: label={wrong.flat[0]}.")
            return
        shares = labels.astype(np.float32)
        wrong_rows = ~(np.abs(shares.sum(axis=1) - 1.0) <= _SUM_TOLERANCE) | ~(shares >= 0.0).all(axis=1)
        if wrong_rows.any():
            raise ValueError(f"{_EXPECTED_SHARES} Received: {np.array2string(shares[wrong_rows][0], threshold=6)}.")


def watched_labels(labels: Any, *, classes: int) -> tf.Tensor:
    """Returns labels in the one form, and watches over them where they come; `explained` says what is wrong with one.

    Args:
        labels: Whole numbers [B] or [B, 1], or probabilities [B, K].
        classes: K.

    Returns:
        int64 [B], or float32 [B, K].
    """
    labels = tf.convert_to_tensor(labels)
    if labels.shape.rank == 2 and labels.shape[1] != 1:
        shares = tf.cast(labels, tf.float32)
        sums = tf.reduce_sum(shares, axis=1)
        right = tf.reduce_all(shares >= 0.0) & tf.reduce_all(tf.abs(sums - 1.0) <= _SUM_TOLERANCE)
        off = tf.maximum(tf.abs(sums - 1.0), -tf.reduce_min(shares, axis=1))
        return _asserted(shares, right, f"{_EXPECTED_SHARES} Received: ", _worst(shares, off))
    given = tf.reshape(labels, [-1])
    indices = tf.cast(given, tf.int64)
    wrong = (indices < 0) | (indices >= classes) | (tf.cast(indices, given.dtype) != given)
    shown = _worst(given, tf.cast(wrong, tf.float32))
    return _asserted(indices, ~tf.reduce_any(wrong), f"{_expected_labels(classes)} Received: label=", shown)


def _worst(labels: tf.Tensor, off: tf.Tensor) -> tf.Tensor:
    """Returns the entry that is furthest off; zeros where there is none, as a replica's share of a batch may have."""
    return tf.gather(tf.pad(labels, [[0, 1], *[[0, 0]] * (labels.shape.rank - 1)]), tf.argmax(tf.pad(off, [[0, 1]])))


def _expected_labels(classes: int) -> str:
    return f"Expected labels from 0 to {classes - 1}, for {classes} classes."


@contextmanager
def explained() -> Iterator[None]:
    """Turns the error of a batch that is not as `applied` and `normalized` want it into its one sentence.

    Raises:
        ValueError: In the place of TensorFlow's error, which names operations. Other errors go on as they came.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        labels = re.search(r"\[(Expected (?:labels|rows).*?Received: .*?)\] \[(.*?)\](?!\])", str(error), re.DOTALL)
        shapes = re.search(r"Shape of tensor \S+ (\[.*?\]) is not compatible with expected shape (\[.*?\])", str(error))
        if labels is not None:
            raise ValueError(f"{labels[1]}{' '.join(labels[2].split())}.") from error
        if shapes is None:
            raise
        raise ValueError(
            f"Expected every batch in the form of the first, {_sides(shapes[2])}. Received: {_sides(shapes[1])}."
        ) from error


def _sides(shape: str) -> str:
    return shape.replace("?", "batch").replace(",", ", ")


def _asserted(value: tf.Tensor, right: tf.Tensor, sentence: str, received: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([tf.debugging.Assert(right, [sentence, received])]):
        return tf.identity(value)


def _check_pixels(images: np.ndarray) -> None:
    least, greatest = float(images.min()), float(images.max())
    if not (least >= -_TOLERANCE and greatest <= 255.0 + _TOLERANCE) or (0.0 < greatest <= 1.0):
        advice = ""
        if least >= -1.0 and greatest <= 1.0:
            advice = "; bring them back to 0..255, and let the network scale them, by a Rescaling layer"
        raise ValueError(
            f"Expected images with values in 0..255. Received: values from {least:g} to {greatest:g}{advice}."
        )


def _check_weights(weights: np.ndarray) -> None:
    values = weights.astype(np.float64)
    if not np.isfinite(values).all() or values.min() < 0.0:
        raise ValueError(f"Expected weights of 0 or more. Received: weights from {values.min():g} to {values.max():g}.")


def _is_one_array(each: Any) -> bool:
    return hasattr(each, "shape") and hasattr(each, "dtype") and _has_known_type(each.dtype)


def _has_known_type(dtype: Any) -> bool:
    try:
        tf.as_dtype(dtype)
    except TypeError:
        return False
    return True


def _is_number(dtype: tf.DType) -> bool:
    return bool(dtype.is_floating or dtype.is_integer)


def outline(batch: Any) -> str:
    """Returns the form of a batch in a few words, for messages.

    Args:
        batch: Anything; of arrays the type and sides are said, of tuples and dicts what they hold.
    """
    if isinstance(batch, dict):
        return "a dict of " + ", ".join(map(str, batch))
    if isinstance(batch, tuple):
        return "(" + ", ".join(map(outline, batch)) + ")"
    if hasattr(batch, "shape") and hasattr(batch, "dtype"):
        dtype = getattr(batch.dtype, "name", batch.dtype)
        sides = tf.TensorShape(batch.shape)
        return f"{dtype} {'of unknown shape' if sides.rank is None else list(sides)}"
    return f"a {type(batch).__name__}"
