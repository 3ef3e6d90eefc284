import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ofar_tf.tasks.detection.boxes import areas, decode, encode, intersections, overlaps

SIDE = st.floats(0.01, 1.0)
BOX = st.tuples(SIDE, SIDE, SIDE, SIDE).map(lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]])


def test_overlaps_by_hand():
    first, second = np.float32([0, 0, 2, 2]), np.float32([1, 1, 3, 4])
    assert float(areas(first)) == 4 and float(areas(second)) == 6
    assert float(intersections(first, second)) == 1
    assert np.isclose(float(overlaps(first, second)), 1 / 9)
    assert float(overlaps(first, np.float32([5, 5, 6, 6]))) == 0
    assert float(overlaps(np.zeros(4, np.float32), np.zeros(4, np.float32))) == 0


def test_deltas_are_shifts_in_sides_of_the_anchor_and_logarithms():
    deltas = encode(np.float32([3, 1, 7, 2]), np.float32([0, 0, 2, 4]))
    np.testing.assert_allclose(deltas, [(5 - 1) / 2, (1.5 - 2) / 4, np.log(4 / 2), np.log(1 / 4)], rtol=1e-6)


@given(box=BOX, anchor=BOX)
def test_decoding_inverts_encoding(box, anchor):
    box, anchor = np.float32(box), np.float32(anchor)
    largest = (box[2:] - box[:2]) / (anchor[2:] - anchor[:2])
    if largest.max() < 62:
        np.testing.assert_allclose(decode(encode(box, anchor), anchor), box, atol=2e-5)


def test_a_box_is_at_most_62_times_as_high_as_its_anchor():
    box = np.array(decode(np.float32([0, 0, 100, 0]), np.float32([0, 0, 1, 1])))
    assert np.isclose(box[2] - box[0], 62.5) and np.isclose(box[3] - box[1], 1)
