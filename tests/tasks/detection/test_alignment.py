import numpy as np
import tensorflow as tf

from ofar_tf.tasks.detection.alignment import aligned
from ofar_tf.tasks.detection.anchors import Anchors


def maps(size: tuple[int, int]) -> tf.Tensor:
    """What a teacher says, [1, A, 3]: the centre of each anchor and the logarithm of its height, in shares."""
    boxes = np.array(Anchors().boxes(tf.constant(size)))
    height = np.log2(boxes[:, 2] - boxes[:, 0])
    return tf.constant(np.stack([boxes[:, 0] + boxes[:, 2], boxes[:, 1] + boxes[:, 3], height], axis=1)[None])


def read(teacher: tuple[int, int], student: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    said, known = aligned(maps(teacher), teacher_size=tf.constant(teacher), student_size=tf.constant(student))
    return np.array(said)[0], np.array(known)[:, 0], np.array(maps(student))[0]


def test_at_the_same_size_each_anchor_is_taught_by_itself():
    said, known, own = read((96, 128), (96, 128))
    assert known.all()
    np.testing.assert_allclose(said, own, atol=1e-6)


def test_at_half_the_size_a_student_is_taught_a_level_higher():
    said, known, own = read((192, 256), (96, 128))
    counts = [12 * 16 * 9, 6 * 8 * 9, 3 * 4 * 9, 2 * 2 * 9, 1 * 9]
    # What would be three scales above the highest has hard labels.
    assert known.tolist() == [True] * sum(counts[:4]) + [False] * counts[4]
    # Grids of halves are the same grids, and anchors the same shares of the image.
    np.testing.assert_allclose(said[: sum(counts[:4])], own[: sum(counts[:4])], atol=1e-6)


def test_a_smaller_teacher_says_nothing_of_the_smallest_anchors():
    _, known, _ = read((96, 96), (192, 192))
    assert known.tolist() == [False] * (24 * 24 * 9) + [True] * (known.size - 24 * 24 * 9)


def test_between_two_sizes_a_student_is_taught_by_the_nearest_scale_at_the_same_place():
    # 3 log2(128 / 96) = 1.2: one scale, of which 1.26 is the factor and 1.33 would fit.
    said, known, own = read((128, 128), (96, 96))
    assert known.mean() > 0.95
    np.testing.assert_allclose(said[known, 2], own[known, 2] + np.log2(2 ** (1 / 3) * 96 / 128), atol=1e-5)
    # Levels of 16 and 12 cells: bilinear reading of what grows linearly is exact within the outermost cells.
    inner = (
        known & (own[:, :2] > 0.3).all(axis=1) & (own[:, :2] < 1.7).all(axis=1) & (np.arange(known.size) < 12 * 12 * 9)
    )
    inner &= np.arange(known.size) % 9 < 6  # The largest scale is read on the level above.
    np.testing.assert_allclose(said[inner, :2], own[inner, :2], atol=1e-5)


def test_a_lesson_that_says_nothing_can_be_read():
    said, _ = aligned(tf.zeros([2, 1, 5]), teacher_size=tf.constant([0, 0]), student_size=tf.constant([64, 64]))
    assert said.shape == (2, (64 + 16 + 4 + 1 + 1) * 9, 5) and not np.array(said).any()
