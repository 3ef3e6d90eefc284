import pytest

from ofar_tf.models import mobilenet_v1

# Table 1 of Howard et al. 2017 at width 1: input channels, output channels, stride of the separable blocks.
BLOCKS = [
    (32, 64, 1),
    (64, 128, 2),
    (128, 128, 1),
    (128, 256, 2),
    (256, 256, 1),
    (256, 512, 2),
    (512, 512, 1),
    (512, 512, 1),
    (512, 512, 1),
    (512, 512, 1),
    (512, 512, 1),
    (512, 1024, 2),
    (1024, 1024, 1),
]


def by_hand(resolution: int, *, width: float, classes: int = 1000) -> int:
    size = -(-resolution // 2)
    total = 9 * 3 * int(32 * width) * size**2
    for wide_in, wide_out, stride in BLOCKS:
        channels_in, channels_out = int(wide_in * width), int(wide_out * width)
        size = -(-size // stride)
        total += (9 * channels_in + channels_in * channels_out) * size**2
    return total + int(1024 * width) * classes


@pytest.mark.parametrize(("width", "golden"), [(1.0, 568_740_352), (1.5, 1_257_729_792)])
def test_the_macs_at_224_are_those_of_the_paper(count_macs, width, golden):
    assert count_macs(mobilenet_v1(1000, width_multiplier=width), 224) == golden == by_hand(224, width=width)


@pytest.mark.parametrize("width", [1.0, 1.5])
def test_the_macs_at_lower_resolutions_follow_the_layer_table(count_macs, width):
    model = mobilenet_v1(1000, width_multiplier=width)
    assert [count_macs(model, size) for size in (192, 160, 128)] == [
        by_hand(size, width=width) for size in (192, 160, 128)
    ]


def test_the_parameters_are_those_of_the_published_network():
    assert mobilenet_v1(1000).count_params() == 4_253_864  # keras.applications.MobileNet(weights=None) has as many.


def test_small_images_keep_their_size_until_the_256_channel_block():
    model = mobilenet_v1(10, width_multiplier=0.25, small_images=True)
    strides = {layer.name: layer.strides[0] for layer in model.layers if "strides" in layer.get_config()}
    assert [name for name, stride in strides.items() if stride == 2] == [
        "block_4_depthwise",
        "block_6_depthwise",
        "block_12_depthwise",
    ]


def test_a_negative_width_is_refused():
    with pytest.raises(ValueError, match=r"positive width multiplier\. Received: width_multiplier=-1"):
        mobilenet_v1(10, width_multiplier=-1)
