from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from ofar_tf import models
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.subnet import build_subnet


def _profiled_macs(network: keras.Model, resolution: int) -> int:
    """Half the floating point operations that TensorFlow's profiler counts in convolutions and matrix products."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    spec = tf.TensorSpec([1, resolution, resolution, 3])
    function = tf.function(lambda x: network(x, training=False)).get_concrete_function(spec)
    graph = convert_variables_to_constants_v2(function).graph
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output()
    options = options.with_accounted_types(["Conv2D", "DepthwiseConv2dNative", "MatMul"]).build()
    return tf.compat.v1.profiler.profile(graph, options=options).total_float_ops // 2


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("mobilenet_v1", {"width_multiplier": 0.25}),
        ("mobilenet_v2", {"width_multiplier": 0.25}),
        ("resnet20", {}),
        pytest.param("resnet50", {"width_multiplier": 0.125}, marks=pytest.mark.slow),
        ("vgg16", {"width_multiplier": 0.125}),
        ("wide_resnet_10_2", {}),
    ],
)
def test_macs_of_our_networks_are_half_the_flops_of_tensorflows_profiler(
    name: str, arguments: dict[str, Any], random_mask: Any
) -> None:
    supernet = models.build(name, classes=10, **arguments)
    groups = find_channel_groups(supernet)
    mask = random_mask(groups, 0.4)
    assert Costs(groups).macs(mask, 64) == _profiled_macs(build_subnet(supernet, groups, mask), 64)


def _small() -> keras.Model:
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))


def test_costs_by_hand() -> None:
    groups = find_channel_groups(_small())
    mask = ChannelMask(groups.groups, np.array([True, False, True, True]))
    costs = Costs(groups)
    assert costs.macs(mask, 8) == 4 * 4 * 9 * 3 * 3 + 3 * 5
    assert costs.macs(mask, 6) == 3 * 3 * 9 * 3 * 3 + 3 * 5
    assert costs.params(mask) == 9 * 3 * 3 + 4 * 3 + 3 * 5 + 5


def test_the_macs_of_a_channel_are_what_removing_it_saves(random_mask: Any) -> None:
    groups = find_channel_groups(models.build("mobilenet_v2", classes=10, width_multiplier=0.25))
    costs, full = Costs(groups), ChannelMask.full(groups)
    saved = costs.macs_per_channel(32)
    for channel in (0, groups.size // 2, groups.size - 1):
        keep = full.keep.copy()
        keep[channel] = False
        assert saved[channel] == costs.macs(full, 32) - costs.macs(ChannelMask(groups.groups, keep), 32)


def test_several_inputs_and_outputs_are_counted_once_each() -> None:
    image, vector = keras.Input((None, None, 3)), keras.Input((2,))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(image)))
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), vector])
    groups = find_channel_groups(keras.Model([image, vector], [layers.Dense(5)(x), layers.Dense(7)(x)]))
    assert Costs(groups).macs(ChannelMask.full(groups), 10) == 100 * 27 * 4 + 6 * 5 + 6 * 7


def test_a_resolution_that_the_network_cannot_take_is_refused_by_the_layer_that_fails() -> None:
    inputs = keras.Input((None, None, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 5, name="five")(inputs)))
    groups = find_channel_groups(keras.Model(inputs, layers.Dense(2)(x)))
    expected = "Expected a resolution that the network can take. Received: resolution=4, which fails at layer 'five'."
    with pytest.raises(ValueError) as caught:
        Costs(groups).macs(ChannelMask.full(groups), 4)
    assert str(caught.value) == expected


def test_a_layer_that_does_not_say_how_large_its_map_is_hides_no_costs() -> None:
    inputs = keras.Input((None, None, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(inputs)))
    x = layers.EinsumDense("bhwc,cd->bhwd", output_shape=(None, None, 6))(x)
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(5, 1)(x)))
    groups = find_channel_groups(keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))))
    assert Costs(groups).macs(ChannelMask.full(groups), 8) == 64 * (27 * 4 + 4 * 6 + 6 * 5) + 5 * 2
