from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofar_tf.shipping.play.device_tier import DeviceTier, parse_tiers
from ofar_tf.shipping.selection import Limits

LOW = "low:max_macs=50M"


def test_tiers_are_read_in_order():
    high, mid, low = parse_tiers(
        [
            "high:min_ram=6G:max_macs=300M:budget_ms=33",
            "mid:soc=QTI/SM8650+Mediatek/MT6833V/ZA:device=google/husky+samsung:max_latency_ms=8.5:measured_on=Pixel 8",
            "low:max_bytes=500K:precision=float16",
        ]
    )
    assert high == DeviceTier(
        "high", Limits(max_macs=300_000_000, quantization="int8"), min_ram=6_000_000_000, budget_ms=33.0
    )
    assert mid == DeviceTier(
        "mid",
        Limits(max_latency_ms=8.5, quantization="int8", device="Pixel 8"),
        socs=(("QTI", "SM8650"), ("Mediatek", "MT6833V/ZA")),  # Some chips have a slash in their model.
        devices=(("google", "husky"), ("samsung", "")),
        budget_ms=8.5,
    )
    assert low == DeviceTier("low", Limits(max_bytes=500_000, quantization="float16"))


def test_the_default_tier_is_plays_own_group():
    high, low = parse_tiers(["high:min_ram=6G:max_macs=300M", LOW])
    assert (high.group, low.group) == ("high", "other")
    assert (high.is_default, low.is_default) == (False, True)


def test_conditions_are_said_in_words():
    both, low = parse_tiers(["a:min_ram=5.5G:soc=QTI/SM8650+QTI/SM8550:device=samsung:max_macs=1M", LOW])
    assert both.conditions == "RAM >= 5.5G and QTI/SM8650 or QTI/SM8550 and samsung/*"
    assert low.conditions == "every other"


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "Received: none."),
        ([LOW], r"Expected tiers with a condition \(min_ram, soc or device\) and then one without, for every other"),
        (["high:min_ram=6G:max_macs=1M"], "and then one without"),
        ([LOW, "high:min_ram=6G:max_macs=1M"], "and then one without"),
        (["high:min_ram=6G:max_macs=1M", "mid:max_macs=2M", LOW], "and then one without"),
        (["low:min_ram=6G:max_macs=1M", LOW], "Expected tiers of different names. Received: low,low."),
        (["a:min_ram=3G:max_macs=1M", "b:min_ram=6G:max_macs=2M", LOW], "Received: b behind a, which takes all"),
        (["a:min_ram=3G:max_macs=1M", "b:min_ram=3G:soc=X/Y:max_macs=2M", LOW], "Received: b behind a"),
        (["a:ram>=6G:max_macs=1M", LOW], r"Expected KEY=VALUE with min_ram, .* 'ram>=6G' in tier 'a:ram>=6G:max_macs"),
        (["a:min_ram:max_macs=1M", LOW], "Received: 'min_ram' in tier"),
        (["a:min_ram=:max_macs=1M", LOW], "Received: 'min_ram=' in tier"),
        (["a:min_ram=6:max_macs=1M", LOW], "Expected min_ram in bytes, such as 6G. Received: 6 in tier a."),
        (["a:min_ram=6GB:max_macs=1M", LOW], "Expected a positive quantity .* Received: '6GB'."),
        (["a:min_ram=6G:min_ram=7G:max_macs=1M", LOW], "Expected each key of a tier once."),
        (["a:min_ram=6G:max_macs=1M:measured_on=Pixel 8", LOW], "Expected max_latency_ms beside measured_on."),
        (["a:min_ram=6G", LOW], "Expected a budget for each tier: .* Received: none in tier a."),
        (["a:min_ram=6G:budget_ms=33", LOW], "Expected a budget for each tier"),
        (["a:min_ram=6G:max_macs=1M:budget_ms=0", LOW], "Expected a finite, positive budget_ms. Received: 0.0 in tier"),
        (["a:min_ram=6G:max_macs=1M:budget_ms=inf", LOW], "Expected a finite, positive budget_ms. Received: inf"),
        (["a:min_ram=6G:max_macs=1M:budget_ms=fast", LOW], "Expected milliseconds, .* Received: 'fast' in tier"),
        (["a:min_ram=6G:max_macs=1M:precision=int4", LOW], "int4"),
        (["a:soc=SM8650:max_macs=1M", LOW], "Expected soc=MANUFACTURER/MODEL and .* Received: 'SM8650' in tier"),
        (["a:device=google/husky+/x:max_macs=1M", LOW], r"Received: 'google/husky\+/x' in tier"),
        (["other:min_ram=6G:max_macs=1M", LOW], "not other, which is Play's own. Received: 'other'."),
        (["High:min_ram=6G:max_macs=1M", LOW], "Expected a tier's name of lower case .* Received: 'High'."),
        (["7g:min_ram=6G:max_macs=1M", LOW], "Received: '7g'."),
    ],
)
def test_what_is_no_list_of_tiers_is_refused(texts, message):
    with pytest.raises(ValueError, match=message) as error:
        parse_tiers(texts)
    assert "\n" not in str(error.value)


def test_a_condition_besides_memory_lets_a_smaller_tier_come_first():
    texts = ["chip:soc=QTI/SM8650:max_macs=2M", "roomy:min_ram=6G:max_macs=1M", LOW]
    assert [tier.name for tier in parse_tiers(texts)] == ["chip", "roomy", "low"]


@given(st.lists(st.integers(256_000_000, 32_000_000_000), min_size=1, max_size=5))
def test_tiers_of_memory_alone_are_taken_exactly_if_they_fall(sizes):
    texts = [f"t{i}:min_ram={size}:max_macs=1M" for i, size in enumerate(sizes)]
    if all(larger > smaller for larger, smaller in pairwise(sizes)):
        assert [tier.min_ram for tier in parse_tiers([*texts, LOW])] == [*sizes, None]
    else:
        with pytest.raises(ValueError, match="Expected the larger min_ram first"):
            parse_tiers([*texts, LOW])
