import keras

from benchmarks.latency_predictor import cut, operators_of
from ofar_tf.conversion.converter import convert
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules
from ofar_tf.run.device.random_structures import draw_structures, random_network

layers = keras.layers


def test_a_file_that_was_cut_has_the_operators_and_shapes_of_one_that_was_converted(tmp_path):
    x = image = keras.Input((None, None, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2, padding="same")(x)))
    x = layers.ReLU(6)(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same")(x)))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(12, 1)(x)))
    supernet = keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)), name="small")
    groups = find_channel_groups(supernet)
    whole, half, *_ = draw_structures(groups, count=12, resolutions=[16, 8], rules=MaskRules(1, 1), seed=0)
    assert whole.mask == ChannelMask.full(groups) != half.mask
    path = tmp_path / "whole.tflite"
    path.write_bytes(convert(random_network(supernet, groups, whole, seed=0), precision="float32"))
    converted = convert(random_network(supernet, groups, half, seed=0), precision="float32")
    assert operators_of(cut(path, groups, half)) == operators_of(converted)
    assert operators_of(path.read_bytes()) != operators_of(converted)
