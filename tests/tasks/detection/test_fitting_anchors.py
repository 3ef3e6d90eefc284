import numpy as np
import pytest

from ofar_tf.tasks.detection.fitting_anchors import fitting_scale
from ofar_tf.text.size import Size


def boxes(*sides: float) -> np.ndarray:
    """Squares of so many pixels on a canvas of 128 x 256."""
    return np.array([[0.0, 0.0, side / 128, side / 256] for side in sides])


CANVAS = Size(128, 256)


def test_things_of_the_usual_size_keep_the_usual_scale():
    # The smallest square anchor of scale 4 has 32 pixels at stride 8: it covers 23 pixels by (23 / 32) ** 2 = 0.52.
    fitting = fitting_scale(boxes(23, 40, 100), np.array([0, 1, 1]), canvas=CANVAS)
    assert (fitting.scale, fitting.share, fitting.usual) == (4.0, 1.0, 1.0)


def test_small_things_get_the_coarsest_scale_that_still_suits_them():
    # 22 pixels: 0.47 of 32 pixels, 0.84 of the 24 of scale 3. 12 pixels: 0.25 of 24, 0.56 of the 16 of scale 2.
    assert fitting_scale(boxes(22, 60), np.array([0, 1]), canvas=CANVAS).scale == 3.0
    fitting = fitting_scale(boxes(12, 60), np.array([0, 1]), canvas=CANVAS)
    assert (fitting.scale, fitting.share, fitting.usual) == (2.0, 1.0, 0.5)


def test_a_class_of_few_boxes_counts_as_much_as_one_of_many():
    sides = [60.0] * 99 + [12.0]
    fitting = fitting_scale(boxes(*sides), np.array([0] * 99 + [1]), canvas=CANVAS)
    assert (fitting.scale, fitting.usual) == (2.0, 0.5)


def test_what_is_too_small_for_every_scale_leaves_the_one_that_suits_the_rest():
    fitting = fitting_scale(boxes(2, 60), np.array([0, 1]), canvas=CANVAS)
    assert fitting.scale == 4.0 and fitting.share == pytest.approx(0.5)


def test_without_boxes_the_scale_is_the_usual_one():
    assert fitting_scale(np.zeros((0, 4)), np.zeros(0, int), canvas=CANVAS).scale == 4.0


def test_many_boxes_are_judged_by_some_of_them():
    sides = np.tile([12.0, 60.0], 30_000)
    fitting = fitting_scale(boxes(*sides), np.tile([0, 1], 30_000), canvas=CANVAS)
    assert fitting.scale == 2.0 and fitting.usual == pytest.approx(0.5, abs=0.01)


def test_boxes_that_no_scale_suits_are_spoken_of():
    sides = (3, 4, 5, 60)
    fitting = fitting_scale(boxes(*sides), np.zeros(4, int), canvas=CANVAS)
    assert fitting.share == 0.25 and fitting.middle == pytest.approx((4.5, 4.5))
    assert fitting.notes[-1].startswith("Only 25% of the training boxes have an anchor of about their size, ")
    assert "half of them are less than 4.5 pixels high and 4.5 wide. Larger --resolutions help" in fitting.notes[-1]
    assert fitting_scale(boxes(12, 60), np.array([0, 1]), canvas=CANVAS).notes == (
        "Chosen for the training boxes: --anchor_scale=2: 100% of them have an anchor of about their size, in the mean "
        "over the classes; with 4, 50%",
    )
    assert fitting_scale(boxes(40, 60), np.array([0, 1]), canvas=CANVAS).notes == ()
