import keras
import numpy as np
import pytest

from ofar_tf import models
from ofar_tf.models.detector import OUTSIDE, detector
from ofar_tf.models.pyramid_features import feature_maps
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.costs import Costs


def small(classes: int = 3, **settings) -> keras.Model:
    return detector(models.build("mobilenet_v1", classes=2, width_multiplier=0.25), classes=classes, **settings)


def test_outputs_are_nine_anchors_a_cell_of_five_levels():
    model = small(head_layers=1)
    outputs = model(np.zeros((2, 96, 160, 3), np.float32))
    anchors = 9 * (12 * 20 + 6 * 10 + 3 * 5 + 2 * 3 + 1 * 2)
    assert {name: tuple(tensor.shape) for name, tensor in outputs.items()} == {
        "classes": (2, anchors, 3),
        "boxes": (2, anchors, 4),
    }


def test_at_the_start_every_anchor_is_a_thing_with_one_per_cent():
    outputs = small()(np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32))
    probabilities = 1 / (1 + np.exp(-np.array(outputs["classes"])))
    np.testing.assert_allclose(probabilities, 0.01, atol=0.005)


def test_rows_come_before_columns_and_anchors_of_a_cell_last():
    model = small(classes=1, head_layers=0)
    kernel = model.get_layer("detector_classes_last")
    kernel.bias.assign(np.arange(9.0))
    logits = np.array(model(np.zeros((1, 32, 64, 3), np.float32))["classes"])[0, :, 0]
    np.testing.assert_allclose(logits, np.tile(np.arange(9.0), 4 * 8 + 2 * 4 + 2 + 1 + 1), atol=0.2)


@pytest.mark.parametrize("light", [True, False])
def test_multiply_adds_of_neck_and_heads_are_those_of_a_hand_count(light):
    model = small(channels=16, head_layers=2, light=light)
    body = {"p3": 64, "p4": 128, "p5": 256}  # Channels of the quarter-wide body at each stride.
    cells = {"p3": 8 * 12, "p4": 4 * 6, "p5": 2 * 3, "p6": 1 * 2, "p7": 1 * 1}
    smoothed = 9 * 16 + 16 * 16 if light else 9 * 16 * 16
    last = (9 * 16 if light else 0) * 2 + (1 if light else 9) * 16 * 9 * (3 + 4)
    expected = sum(cells[level] * channels * 16 for level, channels in body.items())
    expected += sum(count * (smoothed + 2 * 2 * smoothed + last) for count in cells.values())
    groups = find_channel_groups(model, outside=OUTSIDE)
    costs, whole = Costs(groups), ChannelMask.full(groups)
    assert costs.total_macs(whole, (64, 96)) - costs.macs(whole, (64, 96)) == expected


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("vgg16", ["stage3_pool", "stage4_pool", "stage5_pool"]),
        ("mobilenet_v1", ["block_5_pointwise_relu", "block_11_pointwise_relu", "block_13_pointwise_relu"]),
        ("mobilenet_v2", ["block_6_add", "block_13_add", "block_17_project_bn"]),
        ("efficientnet_lite0", ["block_5_add", "block_11_add", "block_16_project_bn"]),
        ("resnet50", ["stage2_block4_relu", "stage3_block6_relu", "stage4_block3_relu"]),
    ],
)
def test_the_last_block_of_each_stride_is_read(name, names):
    body = models.build(name, classes=2, width_multiplier=0.125)
    _, found = feature_maps(body)
    assert list(found) == names


@pytest.mark.parametrize(
    ("model", "features", "sentence"),
    [
        ("resnet20", (), "Expected a body with maps at strides 8, 16 and 32. "
         "Received: resnet20, with strides 1, 2, 4."),
        ("mobilenet_v1", ("a", "b"), "Expected three --features, at strides 8, 16 and 32. Received: a, b."),
        ("mobilenet_v1", ("block_4_pointwise_relu", "block_5_pointwise_rel", "block_13_pointwise_relu"),
         "Expected --features that mobilenet_v1 has. Received: 'block_5_pointwise_rel'. "
         "Did you mean block_5_pointwise_relu?"),
        ("mobilenet_v1", ("block_3_pointwise_relu", "block_11_pointwise_relu", "block_13_pointwise_relu"),
         "Expected a feature at stride 8. Received: 'block_3_pointwise_relu', at stride 4."),
    ],
)  # fmt: skip
def test_features_that_do_not_fit_are_named(model, features, sentence):
    with pytest.raises(ValueError) as caught:
        feature_maps(models.build(model, classes=2, width_multiplier=0.125), names=features)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"classes": 0}, "Expected at least one class. Received: classes=0."),
        ({"channels": 0}, "Expected a positive number of channels and no negative number of layers. "
         "Received: channels=0, head_layers=2."),
    ],
)  # fmt: skip
def test_arguments_that_make_no_sense_are_refused(settings, sentence):
    with pytest.raises(ValueError) as caught:
        small(**settings)
    assert str(caught.value) == sentence


def body(side: int | None = None, *, prefix: str = "") -> keras.Model:
    """Five strided convolutions; of a fixed size with a head that flattens, as many have it."""
    images = x = keras.Input((side, side, 3))
    for stage in range(1, 6):
        x = keras.layers.Conv2D(4, 3, strides=2, padding="same", name=f"{prefix}conv{stage}")(x)
    pooled = keras.layers.Flatten()(x) if side else keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, keras.layers.Dense(2)(pooled), name="body")


def test_a_body_of_one_size_whose_head_flattens_its_map_finds_things_at_this_size():
    model = detector(body(64), classes=3, features=("conv3", "conv4", "conv5"), channels=8, head_layers=0)
    assert model(np.zeros((1, 64, 64, 3), np.float32))["boxes"].shape == (1, 9 * (64 + 16 + 4 + 1 + 1), 4)


def test_a_map_with_a_margin_is_no_feature():
    """What stands before an unpadded convolution, in ResNet50V2, EfficientNet and MobileNetV3: 130 rows for 128."""
    images = x = keras.Input((None, None, 3))
    for stage in range(1, 6):
        x = keras.layers.ZeroPadding2D(1, name=f"pad{stage}")(x)
        x = keras.layers.Conv2D(4, 4, strides=2, name=f"conv{stage}")(x)
    padded = keras.Model(images, keras.layers.ZeroPadding2D(1, name="pad6")(x), name="padded")
    with pytest.raises(ValueError, match=r"for instance conv3,conv4,conv5\. Received: none"):
        detector(padded, classes=3)
    with pytest.raises(ValueError, match=r"^Expected a feature at stride 8\. Received: 'pad4', at stride 7\.877\.$"):
        detector(padded, classes=3, features=("pad4", "conv4", "conv5"))


@pytest.mark.parametrize(
    ("features", "prefix", "sentence"),
    [
        ((), "", "Expected --features, the names of three layers of body at strides 8, 16 and 32, for instance "
         "conv3,conv4,conv5. Received: none, and no block that ends at stride 8."),
        (("x", "conv4", "conv5"), "", "Expected --features that body has. Received: 'x'. There are conv3,conv4,conv5."),
        ((), "detector_", "Expected a body without layers named detector_*, as neck and heads are. "
         "Received: detector_conv1."),
    ],
)  # fmt: skip
def test_a_body_of_unknown_names_is_refused_with_names_that_would_do(features, prefix, sentence):
    with pytest.raises(ValueError) as caught:
        detector(body(prefix=prefix), classes=3, features=features)
    assert str(caught.value) == sentence
