"""Numbers by hand: 8x8 pixels, four channels by a 3x3 kernel, depthwise, six by a 1x1 kernel, a sum, two classes."""

from itertools import pairwise

import keras
import numpy as np
import pytest

from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules, mask_without
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.operator_work import OperatorWork

layers = keras.layers


@pytest.fixture(scope="module")
def groups():
    image = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = layers.ReLU(6)(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = trunk = layers.BatchNormalization()(layers.Conv2D(6, 1, use_bias=False, name="narrow")(x))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(6, 1, use_bias=False, name="side")(x)))
    x = layers.ReLU()(layers.Add()([trunk, layers.Conv2D(6, 1, name="back")(x)]))
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return find_channel_groups(keras.Model(image, layers.Dense(2)(x)))


def test_work_by_hand(groups):
    kept = {group.name: list(range(group.size)) for group in groups.groups}
    kept["stem"], kept["side"] = [0, 2, 3], [1, 5]
    work = OperatorWork(groups).of(ChannelMask.from_kept(groups.groups, kept), 8)
    pixels = 4 * 4
    # Three channels of the stem, six of the trunk, two at the side, six back.
    pointwise = {"macs": pixels * (3 * 6 + 6 * 2 + 2 * 6), "weights": 3 * 6 + 6 * 2 + 2 * 6}
    assert work == {
        "operators": 9,
        "rescaling.activations": 2 * 64 * 3,
        "convolution.activations": 64 * 3 + pixels * 3,
        "convolution.weights": 9 * 3 * 3,
        "convolution.macs": pixels * 9 * 3 * 3,
        "convolution.padded_macs": pixels * 9 * 3 * 16,
        "depthwise.activations": 2 * pixels * 3,
        "depthwise.weights": 9 * 3,
        "depthwise.macs": pixels * 9 * 3,
        "depthwise.padded_macs": pixels * 9 * 16,
        "pointwise.activations": pixels * ((3 + 6) + (6 + 2) + (2 + 6)),
        "pointwise.weights": pointwise["weights"],
        "pointwise.macs": pointwise["macs"],
        "pointwise.padded_macs": pixels * 16 * (3 + 6 + 2),
        "add.activations": pixels * 3 * 6,
        "globalaveragepooling2d.activations": pixels * 6 + 6,
        "dense.activations": 6 + 2,
        "dense.weights": 6 * 2,
        "dense.macs": 6 * 2,
        "dense.padded_macs": 6 * 16,
    }


def test_what_the_converter_cannot_fold_or_fuse_is_an_operator_of_its_own():
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same")(image)
    x = layers.Concatenate()([layers.ReLU()(layers.BatchNormalization()(x)), x])  # Two read the convolution.
    x = layers.Activation("hard_swish")(layers.BatchNormalization()(layers.Conv2D(8, 3, groups=4)(x)))
    x = layers.LeakyReLU()(layers.SeparableConv2D(4, 3, activation="sigmoid")(x))
    groups = find_channel_groups(keras.Model(image, layers.Dense(2)(layers.Flatten()(x))))
    kinds = {"batchnormalization", "concatenate", "convolution", "dense", "depthwise", "grouped", "hard_silu"}
    assert OperatorWork(groups).kinds == kinds | {"leakyrelu", "pointwise", "relu"}
    work = OperatorWork(groups).of(ChannelMask.full(groups), 8)
    assert {name.partition(".")[0] for name in work} == OperatorWork(groups).kinds | {"operators"}
    macs = sum(amount for name, amount in work.items() if name.endswith(".macs"))
    assert macs == Costs(groups).macs(ChannelMask.full(groups), 8)


def test_no_work_rises_when_channels_are_removed(groups):
    order, count = np.random.default_rng(0).permutation(groups.size), OperatorWork(groups)
    masks = [mask_without(groups.groups, order, pruned, rules=MaskRules(1, 1)) for pruned in range(groups.size)]
    works = [count.of(mask, 8) for mask in masks]
    for larger, smaller in pairwise(works):
        assert all(smaller[name] <= larger[name] for name in larger)
