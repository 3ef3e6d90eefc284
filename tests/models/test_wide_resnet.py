import pytest

from ofar_tf.models import wide_resnet

# Input channels, output channels and stride of the twelve blocks of WRN-28-10.
BLOCKS = [
    (16, 160, 1), (160, 160, 1), (160, 160, 1), (160, 160, 1),
    (160, 320, 2), (320, 320, 1), (320, 320, 1), (320, 320, 1),
    (320, 640, 2), (640, 640, 1), (640, 640, 1), (640, 640, 1),
]  # fmt: skip


def by_hand(resolution: int, *, classes: int) -> int:
    size = resolution
    total = 9 * 3 * 16 * size**2
    for channels_in, channels_out, stride in BLOCKS:
        size = -(-size // stride)
        total += 9 * (channels_in * channels_out + channels_out * channels_out) * size**2
        if channels_in != channels_out:
            total += channels_in * channels_out * size**2
    return total + 640 * classes


@pytest.mark.parametrize(("classes", "golden"), [(10, 5_243_328_768), (100, 5_243_386_368)])
def test_the_macs_of_wrn_28_10_at_32_are_those_of_the_paper(count_macs, classes, golden):
    assert count_macs(wide_resnet(classes), 32) == golden == by_hand(32, classes=classes)


def test_the_macs_of_wrn_28_10_at_lower_resolutions_follow_the_layer_table(count_macs):
    model = wide_resnet(10)
    assert [count_macs(model, size) for size in (28, 24, 20)] == [by_hand(size, classes=10) for size in (28, 24, 20)]


def test_wrn_28_10_has_the_published_number_of_parameters():
    trainable = sum(variable.value.shape.num_elements() for variable in wide_resnet(10).trainable_variables)
    assert round(trainable / 1e6, 1) == 36.5  # Table 4 of Zagoruyko and Komodakis 2016.


def test_depth_and_width_are_in_the_name():
    assert wide_resnet(10, depth=10, width=2).name == "wide_resnet_10_2"


@pytest.mark.parametrize("depth", [4, 20, 27])
def test_a_depth_that_is_not_6n_plus_4_is_refused(depth):
    with pytest.raises(ValueError, match=rf"depth of 6n \+ 4 .* Received: depth={depth}\."):
        wide_resnet(10, depth=depth)


def test_a_width_of_zero_is_refused():
    with pytest.raises(ValueError, match=r"width of at least 1\. Received: width=0\."):
        wide_resnet(10, width=0)


def test_batch_norm_comes_before_each_convolution_of_a_block():
    names = [layer.name for layer in wide_resnet(10, depth=10, width=1).layers]
    assert names.index("group1_block1_pre1_bn") < names.index("group1_block1_conv1")
    assert names[-5:] == ["group3_block1_add", "head_bn", "head_relu", "global_pool", "logits"]
