import pytest

from ofar_tf.models import vgg16

# Input channels and output channels of the 13 convolutions; "pool" halves the map, dropping an odd row or column.
BODY = [
    (3, 64), (64, 64), "pool",
    (64, 128), (128, 128), "pool",
    (128, 256), (256, 256), (256, 256), "pool",
    (256, 512), (512, 512), (512, 512), "pool",
    (512, 512), (512, 512), (512, 512), "pool",
]  # fmt: skip


def by_hand(height: int, width: int) -> int:
    total = 0
    for row in BODY:
        if row == "pool":
            height, width = height // 2, width // 2
        else:
            total += 9 * row[0] * row[1] * height * width
    return total


@pytest.mark.parametrize(
    ("height", "width", "golden"),
    [(600, 1000, 183_161_475_072), (600, 600, 109_844_508_672), (224, 224, 15_346_630_656)],
)
def test_the_macs_of_the_body_are_those_of_the_paper(macs_by_layer, height, width, golden):
    macs = macs_by_layer(vgg16(10), height, width)
    assert macs.pop("logits") == 5120
    assert sum(macs.values()) == golden == by_hand(height, width)


def test_the_macs_of_the_body_at_lower_resolutions_follow_the_layer_table(macs_by_layer):
    model = vgg16(10)
    for size in (480, 360, 240, 192, 160, 128):
        assert sum(macs_by_layer(model, size, size).values()) - 5120 == by_hand(size, size)


def test_small_images_are_not_pooled_after_the_last_stage():
    pools = [
        layer.name for layer in vgg16(10, width_multiplier=0.125, small_images=True).layers if "_pool" in layer.name
    ]
    assert pools == ["stage1_pool", "stage2_pool", "stage3_pool", "stage4_pool", "global_pool"]
