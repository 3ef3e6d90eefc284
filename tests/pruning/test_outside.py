"""A body is pruned, and what lies behind it is not: detectors, whose heads serve every structure."""

import keras
import numpy as np
import pytest

from ofar_tf import models
from ofar_tf.models.detector import OUTSIDE, detector
from ofar_tf.pruning.budgets import Budget, solve_mask
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules
from ofar_tf.pruning.costs import Costs


def build(name: str, **settings) -> keras.Model:
    return detector(
        models.build(name, classes=2, width_multiplier=0.125), classes=3, channels=8, head_layers=1, **settings
    )


@pytest.mark.parametrize(("name", "light"), [("vgg16", False), ("mobilenet_v1", True)])
def test_the_masked_run_of_a_detector_is_the_sliced_one(
    double_precision, randomize, random_mask, check_masked_is_sliced, name, light
):
    images = np.random.default_rng(1).uniform(0, 255, (2, 32, 64, 3))
    model = randomize(build(name, light=light), images)
    groups = find_channel_groups(model, outside=OUTSIDE)
    subnet = check_masked_is_sliced(model, groups, random_mask(groups, 0.5), images=images)
    for layer in subnet.layers:
        if layer.name.startswith("detector_"):
            assert layer.output.shape[-1] == model.get_layer(layer.name).output.shape[-1]


def test_what_joins_the_outputs_of_a_body_is_no_residual_stream_of_it():
    groups = find_channel_groups(build("vgg16"), outside=OUTSIDE)
    assert len(groups.groups) == 13 and not any(group.name.startswith("detector") for group in groups.groups)
    assert [group.name for group in groups.read_outside] == ["stage3_conv3", "stage4_conv3", "stage5_conv3"]
    # Without the pattern neck and heads are pruned as everything else.
    assert any(group.name.startswith("detector") for group in find_channel_groups(build("vgg16")).groups)


@pytest.fixture(scope="module")
def vgg() -> Costs:
    keras.backend.clear_session(free_memory=False)
    with keras.StatelessScope(initialize_variables=False):  # Only its shapes are wanted.
        body = models.vgg16(2)
        groups = find_channel_groups(detector(body, classes=80, channels=256, light=False), outside=OUTSIDE)
    return Costs(groups)


def test_the_multiply_adds_of_vgg_16_are_those_of_table_3(vgg):
    groups = vgg._groups
    assert vgg.macs(ChannelMask.full(groups), 600) == 109_844_508_672  # '110G', at a size that the neck cannot take.
    # Rows of the table, at 600 px: OFARPruning's 103G and 42G, US-Net's 45.9G.
    wanted = [103.0, 45.9, 42.0, 12.5]
    budgets, rules = [Budget(macs=int(1e9 * giga)) for giga in wanted], MaskRules(8, 8)
    scores = np.zeros(groups.size)
    masks = [solve_mask(groups, scores, budget, resolution=600, rules=rules, costs=vgg) for budget in budgets]
    for giga, mask in zip(wanted, masks, strict=True):
        assert 0.97 * giga < vgg.macs(mask, 600) / 1e9 <= giga
    # OFARPruning's 2G is a structure at 240 px, MutualNet's 2.5G a quarter of all channels at 360 px.
    assert round(vgg.macs(masks[-1], 240) / 1e9) == 2
    quarter = np.concatenate([np.arange(group.size) < group.size // 4 for group in groups.groups])
    assert round(vgg.macs(ChannelMask(groups.groups, quarter), 360) / 1e9, 1) == 2.5


def test_a_floor_holds_what_the_neck_reads(vgg):
    groups = vgg._groups
    floors = {group.name: group.size // 4 for group in groups.read_outside}
    # A ranking that likes nothing of them.
    scores = np.ones(groups.size)
    for group in groups.read_outside:
        scores[group.channels] = 0.0
    mask = solve_mask(groups, scores, Budget(rate=0.7), resolution=600, rules=MaskRules(8, 8, floors), costs=vgg)
    kept = {name: len(positions) for name, positions in mask.kept().items()}
    assert [kept[name] for name in floors] == [64, 128, 128]
