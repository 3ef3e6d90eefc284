import json
from dataclasses import replace

import keras
import numpy as np
import pytest

from ofar_tf.pruning.budgets import Budget, solve_mask
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.latency_predictor import LatencyPredictor, PredictionError, read_predictor

layers = keras.layers
PREDICTOR = LatencyPredictor(
    schema_version=1,
    device="Pixel 8",
    threads=2,
    precision="int8",
    network="small",
    resolutions=("8",),
    measured_ms=(1.0, 9.0),
    error=PredictionError(0.03, 0.07, 40),
    # A millisecond for each 10,000 multiply-adds of convolutions, a tenth for each operator.
    coefficients={
        "operators": 0.1,
        "convolution.macs": 1e-4,
        **{f"convolution.{name}": 0.0 for name in ("padded_macs", "weights", "activations")},
        **{f"dense.{name}": 0.0 for name in ("macs", "padded_macs", "weights", "activations")},
        "globalaveragepooling2d.activations": 0.0,
    },
    versions={"ai-edge-litert": "2.3.0"},
    created="2026-01-02T03:04:05+00:00",
)


def network(*more):
    x = image = keras.Input((None, None, 3))
    for filters in (6, 10, 9):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(x)))
    for layer in more:
        x = layer(x)
    return keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))


@pytest.fixture(scope="module")
def groups():
    return find_channel_groups(network())


def test_milliseconds_by_hand(groups):
    # 64 positions, 3 x 3 kernels: 3 -> 6 -> 10 -> 9; three convolutions, the mean and the classes are five operators.
    macs = 64 * 9 * (18 + 60 + 90)
    assert Costs(groups, PREDICTOR).milliseconds(ChannelMask.full(groups), 8) == pytest.approx(1e-4 * macs + 0.5)


def test_masks_meet_budgets_in_milliseconds_as_nearly_as_channels_allow(groups):
    costs, scores = Costs(groups, PREDICTOR), np.random.default_rng(0).random(groups.size)
    budgets = [Budget(ms=8.0), Budget(ms=4.0), Budget(ms=2.0)]
    rules = MaskRules(1, 1)
    masks = [solve_mask(groups, scores, budget, resolution=8, rules=rules, costs=costs) for budget in budgets]
    spent = [costs.milliseconds(mask, 8) for mask in masks]
    # One channel is at most 9 * 64 * (6 + 9) multiply-adds, .87 ms.
    assert all(budget.ms - 0.87 < ms <= budget.ms for budget, ms in zip(budgets, spent, strict=True))
    assert [budget.name for budget in [*budgets, Budget(ms=2.5)]] == ["ms8", "ms4", "ms2", "ms2_5"]


@pytest.mark.parametrize(
    ("ms", "message"),
    [
        (11.0, "Expected millisecond budgets of at most the supernet's 10.1 ms at 8 px. Received: 11 ms."),
        (
            0.5,
            "Expected millisecond budgets of at least 0.788 ms, which min_channels and channel_round_to still allow. "
            "Received: 0.5 ms.",
        ),
    ],
)
def test_budgets_out_of_reach_are_refused_with_a_number_that_is_allowed(groups, ms, message):
    costs = Costs(groups, PREDICTOR)
    with pytest.raises(ValueError) as caught:
        solve_mask(groups, np.zeros(25), Budget(ms=ms), resolution=8, rules=MaskRules(1, 1), costs=costs)
    assert str(caught.value) == message


def test_milliseconds_without_a_device_are_refused(groups):
    with pytest.raises(ValueError, match=r"Expected a device, whose milliseconds count. Received: none."):
        Costs(groups).milliseconds(ChannelMask.full(groups), 8)


def test_a_network_of_operators_that_were_not_timed_is_refused():
    groups = find_channel_groups(network(layers.DepthwiseConv2D(3), layers.Activation("tanh")))
    with pytest.raises(ValueError, match=r"operators that were timed on Pixel 8 in small, convolution, dense, .*"):
        Costs(groups, PREDICTOR)
    with pytest.raises(ValueError, match=r"Received: depthwise, tanh."):
        Costs(groups, PREDICTOR)


def test_a_device_is_written_and_read_back(tmp_path):
    PREDICTOR.write(tmp_path / "device.json")
    assert read_predictor(tmp_path / "device.json") == PREDICTOR
    assert str(PREDICTOR.error) == "within 3.0% for half of 40 structures, 7.0% for nine tenths"
    assert PREDICTOR.place == "Pixel 8, 2 threads, int8"


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"device": " "},
        {"threads": 0},
        {"coefficients": {"operators": -1.0}},
        {"coefficients": {"operators": 0.0}},
        {"measured_ms": [3.0, 2.0]},
        {"error": {"median": 0.2, "p90": 0.1, "structures": 4}},
        {"colour": "red"},
        {"resolutions": []},
    ],
)
def test_a_damaged_device_is_refused_in_one_line(tmp_path, change):
    path = tmp_path / "device.json"
    path.write_text(json.dumps({**json.loads(PREDICTOR.to_json()), **change}))
    with pytest.raises(ValueError, match=r"Expected a device, as ofar measure_device writes it") as caught:
        read_predictor(path)
    assert "\n" not in str(caught.value)


def test_half_a_device_and_none_are_refused(tmp_path):
    (tmp_path / "half.json").write_text(PREDICTOR.to_json()[:100])
    with pytest.raises(ValueError, match=r"writes it, in .*half.json. Received: Expected JSON"):
        read_predictor(tmp_path / "half.json")
    with pytest.raises(FileNotFoundError, match=r"Received: .*none.json, which does not exist"):
        read_predictor(tmp_path / "none.json")


def test_coefficients_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="Expected coefficients from 0"):
        replace(PREDICTOR, coefficients={"operators": float("nan")})
