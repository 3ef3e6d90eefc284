import pytest

from ofar_tf.family.manifest import Latency, Manifest
from ofar_tf.shipping.play.device_tier import DeviceTier
from ofar_tf.shipping.play.tier_files import choose_files
from ofar_tf.shipping.selection import Limits


@pytest.fixture(scope="module")
def manifest(make_entry, header):
    phone = Latency("phone", 4, 8.0, 9.0)
    return Manifest(
        **vars(header),
        models=(
            make_entry("broken", macs=410, top1=0.99, reasons=("Its scores are not finite.",)),
            make_entry("large", macs=400, top1=0.90, latency=(phone,)),
            make_entry("near", macs=310, top1=0.89),
            make_entry("middle", macs=300, top1=0.85),
            make_entry("int8", macs=200, top1=0.88, quantization="int8"),
            make_entry("small", macs=200, top1=0.70),
            make_entry("twin", macs=200, top1=0.60),
            make_entry("least", macs=150, top1=0.50),
        ),
    )


def chosen(manifest, *, steps_down, budget_ms=30.0, **limits):
    tier = DeviceTier("high", Limits(**{"max_macs": 1000, "quantization": "float32", **limits}), budget_ms=budget_ms)
    return [model.id for model in choose_files(manifest, tier, steps_down=steps_down).models]


@pytest.mark.parametrize(
    ("steps_down", "ids"),
    [
        (0, ["large"]),
        (1, ["large", "middle"]),  # near saves less than a quarter
        (2, ["large", "middle", "small"]),
        (3, ["large", "middle", "small", "least"]),  # exactly three quarters of small
        (9, ["large", "middle", "small", "least"]),
    ],
)
def test_each_step_is_the_most_accurate_file_that_saves_a_quarter(manifest, steps_down, ids):
    assert chosen(manifest, steps_down=steps_down) == ids


def test_a_tier_that_never_steps_down_receives_one_file(manifest):
    assert chosen(manifest, steps_down=2, budget_ms=None) == ["large"]


def test_a_step_down_needs_no_measured_latency(manifest):
    assert chosen(manifest, steps_down=1, max_latency_ms=9.0) == ["large", "middle"]


def test_the_tiers_limits_hold(manifest):
    assert chosen(manifest, steps_down=1, max_macs=310) == ["near", "small"]
    assert chosen(manifest, steps_down=1, quantization="int8") == ["int8"]


def test_a_tier_that_nothing_fits_is_named(manifest):
    with pytest.raises(ValueError, match=r"In tier high: Expected a file with max_macs=10, .* nearest is least/least"):
        chosen(manifest, steps_down=1, max_macs=10)
