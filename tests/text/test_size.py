import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofar_tf.text.size import Size

SIDES = st.integers(1, 999_999)


@given(SIDES, SIDES)
def test_a_size_is_read_back_from_what_it_writes(height, width):
    size = Size(height, width)
    assert Size.parse(str(size)) == size == Size.of((height, width))
    assert hash(Size.parse(str(size))) == hash(size)


def test_a_square_is_its_side():
    assert Size.of(224) == Size(224, 224) == 224
    assert str(Size(224, 224)) == "224"
    assert {Size(224, 224): "found"}[224] == "found"
    assert Size(480, 640) != 480
    assert str(Size(480, 640)) == "480x640"


def test_sizes_are_ordered_by_their_pixels():
    assert sorted([Size(20, 10), Size(8, 8), Size(10, 20), Size(4, 100)]) == [
        Size(8, 8),
        Size(10, 20),
        Size(20, 10),
        Size(4, 100),
    ]
    assert Size(8, 8) < 9


@pytest.mark.parametrize("text", ["", "x", "0x3", "-4", "3x", "3x4x5", "1e3", "9999999"])
def test_texts_that_are_no_size_are_refused(text):
    with pytest.raises(ValueError, match=r"^Expected a size"):
        Size.parse(text)


@pytest.mark.parametrize(
    "value", [12.5, "12", "a", None, (12, 12, 3), (12, None), float("nan"), float("inf"), [12, 12]]
)
def test_what_is_no_size_in_whole_pixels_is_refused(value):
    with pytest.raises(ValueError, match=r"^Expected sizes in whole pixels, or pairs of height and width\. Received: "):
        Size.of(value)


def test_whole_numbers_of_any_type_are_sizes():
    assert Size.of(12.0) == Size.of(np.int64(12)) == Size.of((12, 12)) == 12
