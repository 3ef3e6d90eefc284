import keras
import numpy as np
import pytest

from ofar_tf.models import build, efficientnet_lite

# Kernel, stride, hidden and output channels of Lite0's 16 blocks, written out from the table of the released code.
LITE0 = [
    (3, 1, 32, 16),
    (3, 2, 96, 24), (3, 1, 144, 24),
    (5, 2, 144, 40), (5, 1, 240, 40),
    (3, 2, 240, 80), (3, 1, 480, 80), (3, 1, 480, 80),
    (5, 1, 480, 112), (5, 1, 672, 112), (5, 1, 672, 112),
    (5, 2, 672, 192), (5, 1, 1152, 192), (5, 1, 1152, 192), (5, 1, 1152, 192),
    (3, 1, 1152, 320),
]  # fmt: skip


def macs_by_hand(resolution: int, *, classes: int = 1000) -> int:
    size, channels = -(-resolution // 2), 32
    total = 27 * channels * size**2
    for kernel, stride, hidden, filters in LITE0:
        if hidden != channels:
            total += channels * hidden * size**2
        size = -(-size // stride)
        total += (kernel**2 * hidden + hidden * filters) * size**2
        channels = filters
    return total + channels * 1280 * size**2 + 1280 * classes


def params_by_hand(*, classes: int = 1000) -> int:
    channels, total = 32, 27 * 32 + 4 * 32
    for kernel, _, hidden, filters in LITE0:
        if hidden != channels:
            total += channels * hidden + 4 * hidden
        total += kernel**2 * hidden + 4 * hidden + hidden * filters + 4 * filters
        channels = filters
    return total + channels * 1280 + 4 * 1280 + 1280 * classes + classes


@pytest.mark.parametrize("resolution", [224, 160, 97])
def test_the_macs_of_lite0_follow_the_layer_table(count_macs, resolution):
    assert count_macs(efficientnet_lite(1000), resolution) == macs_by_hand(resolution)


def test_lite0_has_the_parameters_of_the_published_weights():
    assert efficientnet_lite(1000).count_params() == 4_694_024 == params_by_hand()


# Of the released README: millions of parameters, at which size, and millions of multiply-adds, which count the norms
# and activations too: 3 to 6 % more than the kernels alone.
@pytest.mark.parametrize(
    ("variant", "params", "resolution", "macs"),
    [(0, 4.7, 224, 407), (1, 5.4, 240, 631), (2, 6.1, 260, 899), (3, 8.2, 280, 1440), (4, 13.0, 300, 2640)],
)
def test_the_five_networks_have_the_published_sizes(count_macs, variant, params, resolution, macs):
    model = efficientnet_lite(1000, variant=variant)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) / 1e6 == pytest.approx(
        params, abs=0.05
    )
    assert 0.94 < count_macs(model, resolution) / 1e6 / macs < 0.97


# ceil(factor * blocks) of the five inner stages; the first and the last keep their one block.
@pytest.mark.parametrize(("variant", "blocks"), [(0, 16), (1, 21), (2, 21), (3, 24), (4, 30)])
def test_depth_grows_in_the_inner_stages_only(variant, blocks):
    names = {layer.name for layer in build(f"efficientnet_lite{variant}", classes=2).layers}
    assert len([name for name in names if name.endswith("_depthwise")]) == blocks


def test_stem_and_head_keep_their_channels_in_wider_networks():
    model = efficientnet_lite(2, variant=4)
    assert [model.get_layer(name).filters for name in ("stem", "block_1_project", "head")] == [32, 24, 1280]


@pytest.mark.parametrize(("width", "stem", "head"), [(0.5, 16, 1280), (1.5, 48, 1920)])
def test_a_width_multiplier_reaches_stem_and_head(width, stem, head):
    model = efficientnet_lite(2, width_multiplier=width)
    assert [model.get_layer(name).filters for name in ("stem", "head")] == [stem, head]


def test_pixels_are_scaled_as_in_the_released_code():
    rescaling = efficientnet_lite(2, width_multiplier=0.25).get_layer("rescaling")
    np.testing.assert_allclose(rescaling(np.array([0.0, 127.0, 255.0])), [-127 / 128, 0, 1], atol=1e-7)


def test_norms_padding_and_activations_are_those_of_the_released_code():
    for layer in efficientnet_lite(2, width_multiplier=0.25).layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert (layer.momentum, layer.epsilon) == (0.99, 1e-3)
        if isinstance(layer, keras.layers.ReLU):
            assert layer.max_value == 6
        assert getattr(layer, "padding", "same") == "same"


def test_small_images_keep_their_size_until_the_40_channel_stage():
    model = efficientnet_lite(2, width_multiplier=0.25, small_images=True)
    strides = {layer.name: layer.strides[0] for layer in model.layers if "strides" in layer.get_config()}
    assert [name for name, stride in strides.items() if stride == 2] == [
        "block_4_depthwise",
        "block_6_depthwise",
        "block_12_depthwise",
    ]


@pytest.mark.parametrize(("variant", "given", "rate"), [(0, None, 0.2), (2, None, 0.3), (2, 0.1, 0.1)])
def test_dropout_is_the_published_one_unless_given(variant, given, rate):
    model = efficientnet_lite(2, variant=variant, width_multiplier=0.25, dropout=given)
    assert model.get_layer("logits_dropout").rate == rate


def test_no_dropout_is_no_layer():
    names = [layer.name for layer in efficientnet_lite(2, width_multiplier=0.25, dropout=0.0).layers]
    assert "logits_dropout" not in names


@pytest.mark.parametrize("variant", [-1, 5])
def test_an_unknown_variant_is_refused(variant):
    with pytest.raises(ValueError, match=f"Expected a variant from 0 to 4. Received: variant={variant}."):
        efficientnet_lite(2, variant=variant)
