import keras
import pytest

from ofar_tf.conversion.converter import convert
from ofar_tf.conversion.file_size import FileSize, measure_file_size
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.subnet import build_subnet
from ofar_tf.text.size import Size


def test_a_file_has_room_for_what_its_fixed_part_leaves():
    assert FileSize(fixed=2000.0, per_parameter=1.25).params_within(7000) == 4000
    assert FileSize(fixed=2000.0, per_parameter=1.25).params_within(1000) == 1


def test_the_size_of_a_network_between_the_largest_and_the_smallest_is_predicted_within_two_percent():
    layers = keras.layers
    x = image = keras.Input((None, None, 3))
    for name in ("first", "second", "third"):
        x = layers.Conv2D(64, 3, padding="same", use_bias=False, name=name)(x)
        x = layers.ReLU()(layers.BatchNormalization(name=f"{name}_bn")(x))
    supernet = keras.Model(image, layers.Dense(4, name="logits")(layers.GlobalAveragePooling2D()(x)))
    groups = find_channel_groups(supernet)
    size = measure_file_size(supernet, groups, resolution=8, rules=MaskRules(8, 8), precision="float32")
    half = ChannelMask.from_kept(groups.groups, {group.name: list(range(32)) for group in groups.groups})
    subnet = build_subnet(supernet, groups, half, resolution=8)
    subnet.set_weights([weight + 1 + index for index, weight in enumerate(subnet.get_weights())])
    model = keras.Model(subnet.input, layers.Softmax()(subnet.output))
    actual = len(convert(model, precision="float32"))
    predicted = size.fixed + size.per_parameter * Costs(groups).params(half)
    assert predicted == pytest.approx(actual, rel=0.02)


def test_a_detector_is_measured_at_its_own_size_with_all_that_it_returns(in_process):
    layers = keras.layers
    image = keras.Input((8, 16, 3))
    x = layers.Conv2D(64, 3, padding="same", use_bias=False, name="body")(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    outputs = {name: layers.Conv2D(count, 1, name=name)(x) for name, count in (("boxes", 4), ("scores", 3))}
    supernet = keras.Model(image, outputs)
    groups = find_channel_groups(supernet)
    size = measure_file_size(supernet, groups, resolution=Size(8, 16), rules=MaskRules(8, 8), precision="float32")
    # A filter of the body has 27 weights and a bias, and 7 weights read it; its BatchNorm's four are in none of these.
    assert size.per_parameter == pytest.approx(4 * (27 + 1 + 7) / (27 + 4 + 7), rel=0.02)


def test_rules_that_keep_every_channel_are_refused():
    layers = keras.layers
    image = keras.Input((None, None, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, use_bias=False)(image)))
    supernet = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    with pytest.raises(ValueError, match="Expected a floor below the channels of some group"):
        measure_file_size(supernet, find_channel_groups(supernet), resolution=8, rules=MaskRules(8, 8))
