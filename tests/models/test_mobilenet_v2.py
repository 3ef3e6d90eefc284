import pytest

from ofar_tf.models import mobilenet_v2

# Input channels, hidden channels, output channels and stride of the 17 blocks, written out from table 2 of Sandler et
# al. 2018; at 1.5x the 24 channels of the second stage become 36, which rounds to 40.
BLOCKS = {
    1.0: [
        (32, 32, 16, 1),
        (16, 96, 24, 2), (24, 144, 24, 1),
        (24, 144, 32, 2), (32, 192, 32, 1), (32, 192, 32, 1),
        (32, 192, 64, 2), (64, 384, 64, 1), (64, 384, 64, 1), (64, 384, 64, 1),
        (64, 384, 96, 1), (96, 576, 96, 1), (96, 576, 96, 1),
        (96, 576, 160, 2), (160, 960, 160, 1), (160, 960, 160, 1),
        (160, 960, 320, 1),
    ],
    1.5: [
        (48, 48, 24, 1),
        (24, 144, 40, 2), (40, 240, 40, 1),
        (40, 240, 48, 2), (48, 288, 48, 1), (48, 288, 48, 1),
        (48, 288, 96, 2), (96, 576, 96, 1), (96, 576, 96, 1), (96, 576, 96, 1),
        (96, 576, 144, 1), (144, 864, 144, 1), (144, 864, 144, 1),
        (144, 864, 240, 2), (240, 1440, 240, 1), (240, 1440, 240, 1),
        (240, 1440, 480, 1),
    ],
}  # fmt: skip
HEAD = {1.0: 1280, 1.5: 1920}


def by_hand(resolution: int, *, width: float, classes: int = 1000) -> int:
    size = -(-resolution // 2)
    total = 9 * 3 * BLOCKS[width][0][0] * size**2
    for channels_in, hidden, channels_out, stride in BLOCKS[width]:
        if hidden != channels_in:
            total += channels_in * hidden * size**2
        size = -(-size // stride)
        total += (9 * hidden + hidden * channels_out) * size**2
    return total + channels_out * HEAD[width] * size**2 + HEAD[width] * classes


@pytest.mark.parametrize(("width", "golden"), [(1.0, 300_774_272), (1.5, 672_832_704)])
def test_the_macs_at_224_are_those_of_the_paper(count_macs, width, golden):
    assert count_macs(mobilenet_v2(1000, width_multiplier=width), 224) == golden == by_hand(224, width=width)


@pytest.mark.parametrize("width", [1.0, 1.5])
def test_the_macs_at_lower_resolutions_follow_the_layer_table(count_macs, width):
    model = mobilenet_v2(1000, width_multiplier=width)
    assert [count_macs(model, size) for size in (192, 160, 128)] == [
        by_hand(size, width=width) for size in (192, 160, 128)
    ]


def test_the_parameters_are_those_of_the_published_network():
    assert mobilenet_v2(1000).count_params() == 3_538_984  # keras.applications.MobileNetV2(weights=None) has as many.


@pytest.mark.parametrize(("width", "channels"), [(0.5, 1280), (1.0, 1280), (1.5, 1920)])
def test_the_head_grows_with_the_width_but_never_shrinks(width, channels):
    assert mobilenet_v2(10, width_multiplier=width).get_layer("head").filters == channels


def test_ten_blocks_have_a_residual_connection():
    names = [layer.name for layer in mobilenet_v2(10).layers if layer.name.endswith("_add")]
    assert names == [f"block_{index}_add" for index in (3, 5, 6, 8, 9, 10, 12, 13, 15, 16)]


def test_a_bottleneck_is_linear():
    model = mobilenet_v2(10, width_multiplier=0.25)
    names = {layer.name for layer in model.layers}
    assert "block_3_expand_relu" in names
    assert "block_3_project_relu" not in names


def test_small_images_keep_their_size_until_the_32_channel_stage():
    model = mobilenet_v2(10, width_multiplier=0.25, small_images=True)
    strides = {layer.name: layer.strides[0] for layer in model.layers if "strides" in layer.get_config()}
    assert [name for name, stride in strides.items() if stride == 2] == [
        "block_4_depthwise",
        "block_7_depthwise",
        "block_14_depthwise",
    ]
