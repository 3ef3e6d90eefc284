import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofar_tf.text.quantities import format_quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("120M", 120_000_000),
        ("2.5G", 2_500_000_000),
        ("750k", 750_000),
        (" 32 ", 32),
        ("0.5K", 500),
        (504_600_000, 504_600_000),
        (250e6, 250_000_000),
        (0.5 * 1001, 500),
        ("9007199254740993", 9_007_199_254_740_993),
    ],
)
def test_quantities_are_read_exactly(text: str | float, count: int) -> None:
    assert parse_quantity(text) == count


@pytest.mark.parametrize("text", ["", "0", "M", "1.5X", "-3M", "1e6", "224.5", "1.2345K", "0.0001K", "1,000", "nan"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^Expected a positive quantity such as 120M, 2.5G or 750K. Received: '"):
        parse_quantity(text)


@pytest.mark.parametrize("number", [float("inf"), float("nan"), 0.5, -3.0, 0])
def test_numbers_that_are_no_counts_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match=r"^Expected a positive quantity such as 120M, 2.5G or 750K. Received: "):
        parse_quantity(number)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1_000, "1K"),
        (999_499, "999K"),
        (999_500, "1M"),
        (107_400_000, "107M"),
        (2_840_000_000, "2.84G"),
        (5_243_328_768, "5.24G"),
        (99_940, "99.9K"),
        (99_960, "100K"),
    ],
)
def test_quantities_are_written_with_three_digits(count: int, text: str) -> None:
    assert format_quantity(count) == text


@given(st.integers(1, 10**14))
def test_what_is_written_reads_back_to_half_a_percent(count: int) -> None:
    assert abs(parse_quantity(format_quantity(count)) - count) <= 0.005 * count
