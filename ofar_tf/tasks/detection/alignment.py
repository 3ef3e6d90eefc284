"""What a teacher says of a student's anchors, when the two see an image at different sizes.

They share no anchors: at half the size a thing is half as many pixels high, and anchors three scales smaller find it.
So a student's anchor is taught by the anchor of the same share of the image (DESIGN section 5).
"""

import math
from typing import Any

import tensorflow as tf

from ofar_tf.models.detector import ANCHORS_PER_CELL, LEVELS
from ofar_tf.tasks.detection.anchors import SCALES_PER_LEVEL, grids

_RATIOS = ANCHORS_PER_CELL // SCALES_PER_LEVEL


def aligned(taught: Any, *, teacher_size: Any, student_size: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Reads a teacher's maps at the cells of a student's, at the level and scale of the same relative size.

    The scale, three of which are a level, is the student's plus round(3 log2(r_t / r_s)), r being the square root of
    height times width. The map of that scale is resized to the student's grid, bilinearly.

    Args:
        taught: float32 `[B, A_t, C]`, what the teacher says of its anchors.
        teacher_size: int32 `[2]`, the height and width that it saw.
        student_size: int32 `[2]`, those that the student sees.

    Returns:
        float32 `[B, A_s, C]`, and bool `[A_s, 1]`: whether the teacher has such a scale at all. What is read where it
        has none is without meaning.
    """
    shift = _shift(teacher_size, student_size)
    theirs, starts = tf.stack(grids(teacher_size)), _starts(teacher_size)
    # Where there is no lesson there are no maps either; what is read then is used by nobody.
    last = tf.shape(taught)[1] - 1
    read, known = [], []
    for number, grid in enumerate(grids(student_size)):
        scales = SCALES_PER_LEVEL * number + tf.range(SCALES_PER_LEVEL) + shift
        known.append(_per_anchor((scales >= 0) & (scales < SCALES_PER_LEVEL * len(LEVELS)), grid))
        scales = tf.clip_by_value(scales, 0, SCALES_PER_LEVEL * len(LEVELS) - 1)
        level, scale = scales // SCALES_PER_LEVEL, scales % SCALES_PER_LEVEL
        source, start = tf.gather(theirs, level), tf.gather(starts, level)
        total = tf.zeros([])
        for row, row_weight in _neighbours(source[:, 0], grid[0]):
            for column, column_weight in _neighbours(source[:, 1], grid[1]):
                # int32 [rows, columns, scales, ratios]: where in the teacher's list this corner of each anchor lies.
                cell = row[:, tf.newaxis] * source[:, 1] + column[tf.newaxis]
                place = (start + cell * ANCHORS_PER_CELL + scale * _RATIOS)[..., tf.newaxis] + tf.range(_RATIOS)
                weight = (row_weight[:, tf.newaxis] * column_weight[tf.newaxis])[..., tf.newaxis]
                weight = tf.reshape(weight * tf.ones([_RATIOS]), [1, -1, 1])
                total += weight * tf.gather(taught, tf.minimum(tf.reshape(place, [-1]), last), axis=1)
        read.append(total)
    return tf.concat(read, axis=1), tf.concat(known, axis=0)


def _shift(teacher_size: Any, student_size: Any) -> tf.Tensor:
    """By how many scales a teacher's anchors of the same share of the image are larger, in pixels."""
    teacher, student = (
        tf.reduce_prod(tf.maximum(tf.cast(size, tf.float32), 1.0)) for size in (teacher_size, student_size)
    )
    octaves = 0.5 * tf.math.log(teacher / student) / math.log(2.0)
    return tf.cast(tf.round(SCALES_PER_LEVEL * octaves), tf.int32)


def _starts(size: Any) -> tf.Tensor:
    """Returns the number of the first anchor of each level, int32 `[levels]`."""
    counts = [tf.reduce_prod(grid) * ANCHORS_PER_CELL for grid in grids(size)]
    return tf.cumsum(tf.stack(counts), exclusive=True)


def _neighbours(source: tf.Tensor, count: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Returns the two rows (or columns) that each of `count` is between, int32 `[count, scales]`, and their weights."""
    source = tf.maximum(source, 1)
    ratio = tf.cast(source, tf.float32) / tf.cast(count, tf.float32)
    place = (tf.range(count, dtype=tf.float32)[:, tf.newaxis] + 0.5) * ratio - 0.5
    before = tf.floor(place)
    weight = place - before
    low, high = (tf.clip_by_value(tf.cast(each, tf.int32), 0, source - 1) for each in (before, before + 1.0))
    return [(low, 1.0 - weight), (high, weight)]


def _per_anchor(scales: tf.Tensor, grid: tf.Tensor) -> tf.Tensor:
    """Repeats what is known of the scales of a level for all its anchors: bool `[A, 1]`."""
    cell = tf.repeat(scales, _RATIOS)
    return tf.reshape(tf.tile(cell, [tf.reduce_prod(grid)]), [-1, 1])
