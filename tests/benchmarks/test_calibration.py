from types import SimpleNamespace

import keras
import numpy as np

from benchmarks.calibration import pooled, sliced
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask


def test_statistics_of_as_many_images_are_pooled_as_if_they_had_been_one_batch():
    small, large = np.random.default_rng(0).normal([0, 3], [1, 2], (2, 50, 2))
    parts = [[(values.mean(0), values.var(0))] for values in (small, large)]
    ((mean, variance),) = pooled(parts)
    together = np.concatenate([small, large])
    np.testing.assert_allclose(mean, together.mean(0))
    np.testing.assert_allclose(variance, together.var(0))


def test_the_supernets_statistics_are_cut_to_the_channels_of_a_mask():
    layers = keras.layers
    image = keras.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3)(image))
    x = layers.BatchNormalization()(layers.Conv2D(2, 3)(layers.ReLU()(x)))
    supernet = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(layers.ReLU()(x))))
    groups = find_channel_groups(supernet)
    mask = ChannelMask(groups.groups, np.array([True, False, True, False, False, True]))
    whole = [(np.arange(4.0), 10 + np.arange(4.0)), (np.arange(2.0), 20 + np.arange(2.0))]
    cut = sliced(whole, SimpleNamespace(supernet=supernet, groups=groups), mask)
    assert [[values.tolist() for values in norm] for norm in cut] == [[[0, 2], [10, 12]], [[1], [21]]]
