import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.tasks.detection.anchors import Anchors, grids
from ofar_tf.text.size import Size


def by_hand(height: int, width: int, scale: float) -> np.ndarray:
    rows = []
    for stride in (8, 16, 32, 64, 128):
        for y in range(-(-height // stride)):
            for x in range(-(-width // stride)):
                for octave in range(3):
                    for ratio in (0.5, 1.0, 2.0):
                        side = scale * stride * 2 ** (octave / 3)
                        h, w = side * np.sqrt(ratio), side / np.sqrt(ratio)
                        cy, cx = (y + 0.5) * stride, (x + 0.5) * stride
                        rows.append([(cy - h / 2) / height, (cx - w / 2) / width,
                                     (cy + h / 2) / height, (cx + w / 2) / width])  # fmt: skip
    return np.array(rows)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (32, 32), (192, 256)])
def test_anchors_are_nine_a_cell_of_each_level(height, width):
    expected = by_hand(height, width, 3.0)
    np.testing.assert_allclose(Anchors(3.0).boxes(Size(height, width)), expected, atol=1e-6)
    np.testing.assert_allclose(Anchors(3.0).boxes(tf.constant([height, width])), expected, atol=1e-6)


def test_grids_are_rounded_up_from_level_to_level():
    assert np.array(grids(Size(96, 160))).tolist() == [[12, 20], [6, 10], [3, 5], [2, 3], [1, 2]]


def test_a_scale_is_positive():
    with pytest.raises(ValueError) as caught:
        Anchors(0.0)
    assert str(caught.value) == "Expected a positive anchor_scale. Received: 0.0."
