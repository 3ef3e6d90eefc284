import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofar_tf.models.width import make_divisible, scaled


@pytest.mark.parametrize(
    ("channels", "rounded"),
    [(1, 8), (8, 8), (11.9, 16), (12, 16), (17, 16), (18, 24), (36, 40), (1920, 1920), (27, 32), (60, 64)],
)
def test_channels_round_to_the_nearest_multiple_of_eight_unless_it_loses_a_tenth(channels, rounded):
    assert make_divisible(channels) == rounded


@given(st.floats(0.1, 4096))
def test_rounding_gives_a_multiple_that_keeps_nine_tenths(channels):
    rounded = make_divisible(channels)
    assert rounded % 8 == 0
    assert 0.9 * channels <= rounded <= channels + 8


@given(st.integers(1, 256))
def test_a_multiple_of_eight_is_not_changed(eighths):
    assert make_divisible(8 * eighths) == 8 * eighths


@pytest.mark.parametrize("width", [0, -0.5])
def test_a_width_multiplier_that_is_not_positive_is_refused(width):
    with pytest.raises(
        ValueError, match=rf"Expected a positive width multiplier\. Received: width_multiplier={width}\."
    ):
        scaled(32, width)
