import keras
import numpy as np
import pytest

from ofar_tf import models
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import MaskRules
from ofar_tf.run.device.random_structures import draw_structures, random_network


@pytest.fixture(scope="module")
def supernet():
    return models.build("mobilenet_v2", classes=3, width_multiplier=0.25)


@pytest.fixture(scope="module")
def groups(supernet):
    return find_channel_groups(supernet)


def test_structures_reach_from_the_whole_network_to_the_smallest_at_every_resolution(groups):
    drawn = draw_structures(groups, count=20, resolutions=[32, 64], rules=MaskRules(), seed=1)
    assert drawn[0].mask.keep.all() and drawn[0].resolution == 64
    kept = [each.mask.keep.sum() for each in drawn]
    assert kept[-1] == min(kept) and drawn[-1].resolution == 32
    assert len({each.mask for each in drawn}) == 20
    assert [each.resolution for each in drawn].count(32) == 10
    for each in drawn:
        for group in groups.groups:
            count = int(each.mask.keep[group.channels].sum())
            assert count == MaskRules().allowed(count, group)


def test_the_same_seed_draws_the_same_structures(groups):
    one, same, other = (
        draw_structures(groups, count=12, resolutions=[32], rules=MaskRules(), seed=seed) for seed in (1, 1, 2)
    )
    assert one == same != other


def test_activations_of_random_networks_neither_vanish_nor_explode(supernet, groups):
    (_, drawn, *_) = draw_structures(groups, count=12, resolutions=[32], rules=MaskRules(), seed=0)
    network = random_network(supernet, groups, drawn, seed=0)
    middle = keras.Model(network.input, network.get_layer("global_pool").output)
    features = np.asarray(middle(np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3))))
    assert 1e-3 < features.max() < 1e3


def test_rules_that_keep_every_channel_are_refused(groups):
    with pytest.raises(ValueError, match="Expected a floor below the channels of some group"):
        draw_structures(groups, count=12, resolutions=[32], rules=MaskRules(10_000), seed=0)
