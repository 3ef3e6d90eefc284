import pytest

from ofar_tf.models import cifar_resnet, resnet50

# Input channels, channels of the 3 x 3 convolution and stride of ResNet-50's 16 bottlenecks; the output has four times
# the channels of the 3 x 3 convolution.
BOTTLENECKS = [
    (64, 64, 1), (256, 64, 1), (256, 64, 1),
    (256, 128, 2), (512, 128, 1), (512, 128, 1), (512, 128, 1),
    (512, 256, 2), (1024, 256, 1), (1024, 256, 1), (1024, 256, 1), (1024, 256, 1), (1024, 256, 1),
    (1024, 512, 2), (2048, 512, 1), (2048, 512, 1),
]  # fmt: skip


def resnet50_by_hand(resolution: int, *, version: str) -> int:
    size = -(-resolution // 2)
    total = 49 * 3 * 64 * size**2
    size = -(-size // 2)
    for channels, middle, stride in BOTTLENECKS:
        before, size = size, -(-size // stride)
        first = before if version == "v1.5" else size
        total += channels * middle * first**2 + (9 * middle * middle + middle * 4 * middle) * size**2
        if channels != 4 * middle:
            total += channels * 4 * middle * size**2
    return total + 2048 * 1000


@pytest.mark.parametrize(("version", "golden"), [("v1.5", 4_089_184_256), ("v1", 3_857_973_248)])
def test_the_macs_of_resnet50_at_224_are_those_of_the_paper(count_macs, version, golden):
    assert count_macs(resnet50(1000, version=version), 224) == golden == resnet50_by_hand(224, version=version)


@pytest.mark.parametrize("version", ["v1.5", "v1"])
def test_the_macs_of_resnet50_at_lower_resolutions_follow_the_layer_table(count_macs, version):
    model = resnet50(1000, version=version)
    assert [count_macs(model, size) for size in (192, 160, 128)] == [
        resnet50_by_hand(size, version=version) for size in (192, 160, 128)
    ]


def test_resnet50_has_the_published_number_of_trainable_parameters():
    model = resnet50(1000)
    assert (
        sum(variable.value.shape.num_elements() for variable in model.trainable_variables) == 25_557_032
    )  # torchvision


def test_an_unknown_version_is_refused():
    with pytest.raises(ValueError, match=r"Expected version 'v1' or 'v1\.5'\. Received: version='v2'\."):
        resnet50(10, version="v2")


def test_small_images_enter_resnet50_at_full_size():
    model = resnet50(10, width_multiplier=0.125, small_images=True)
    assert model.get_layer("stem").strides == (1, 1)
    assert "stem_pool" not in [layer.name for layer in model.layers]


def test_the_macs_of_resnet20_are_those_counted_by_hand(count_macs):
    stem = 9 * 3 * 16 * 32**2
    stage1 = 6 * 9 * 16 * 16 * 32**2
    stage2 = (9 * 16 * 32 + 5 * 9 * 32 * 32 + 16 * 32) * 16**2
    stage3 = (9 * 32 * 64 + 5 * 9 * 64 * 64 + 32 * 64) * 8**2
    assert count_macs(cifar_resnet(10), 32) == stem + stage1 + stage2 + stage3 + 64 * 10


@pytest.mark.parametrize(("depth", "blocks"), [(20, 9), (56, 27)])
def test_a_cifar_resnet_has_a_block_for_each_pair_of_layers(depth, blocks):
    model = cifar_resnet(10, depth=depth)
    assert sum(layer.name.endswith("_add") for layer in model.layers) == blocks
    assert model.name == f"resnet{depth}"


@pytest.mark.parametrize("depth", [2, 18, 21])
def test_a_depth_that_is_not_6n_plus_2_is_refused(depth):
    with pytest.raises(ValueError, match=rf"depth of 6n \+ 2 .* Received: depth={depth}\."):
        cifar_resnet(10, depth=depth)


def test_the_width_multiplier_widens_a_cifar_resnet():
    model = cifar_resnet(10, width_multiplier=1.5)
    filters = [model.get_layer(f"stage{stage}_block1_conv1").filters for stage in (1, 2, 3)]
    assert filters == [24, 48, 96]
