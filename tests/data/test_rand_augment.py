import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from ofar_tf.data.rand_augment import (
    OPERATIONS,
    auto_contrast,
    equalize,
    posterize,
    rand_augment,
    rotate,
    sharpness,
    shear,
    solarize,
    translate,
)

# Large enough for `equalize` to do something; the channels have ranges of their own.
IMAGE = (np.random.default_rng(0).integers(20, 200, (40, 30, 3)) * [1.0, 0.7, 1.2]).astype(np.uint8).astype(np.float32)
SQUARE = np.arange(75, dtype=np.float32).reshape(5, 5, 3)
WITHOUT_STRENGTH = {"auto_contrast", "equalize"}


def pillow(operation, *arguments):
    return np.asarray(operation(Image.fromarray(IMAGE.astype(np.uint8)), *arguments), np.float32)


def test_equalize_is_pillows():
    np.testing.assert_array_equal(equalize(IMAGE), pillow(ImageOps.equalize))


@pytest.mark.parametrize("image", [SQUARE, np.full([30, 30, 3], 7.0, np.float32)], ids=["few pixels", "one value"])
def test_what_cannot_be_equalized_stays(image):
    np.testing.assert_array_equal(equalize(image), image)


def test_auto_contrast_is_pillows_up_to_its_rounding():
    np.testing.assert_allclose(auto_contrast(IMAGE), pillow(ImageOps.autocontrast), atol=1.0)


def test_auto_contrast_leaves_a_flat_channel_alone():
    image = np.stack([np.full([2, 2], 9.0), [[3.0, 4.0], [5.0, 5.0]], np.zeros([2, 2])], axis=-1).astype(np.float32)
    expected = np.stack([np.full([2, 2], 9.0), [[0.0, 127.5], [255.0, 255.0]], np.zeros([2, 2])], axis=-1)
    np.testing.assert_allclose(auto_contrast(image), expected)


@pytest.mark.parametrize("threshold", [0, 90, 256])
def test_solarize_is_pillows(threshold):
    np.testing.assert_array_equal(solarize(IMAGE, float(threshold)), pillow(ImageOps.solarize, threshold))


@pytest.mark.parametrize("bits", [1, 4, 7, 8])
def test_posterize_is_pillows(bits):
    np.testing.assert_array_equal(posterize(IMAGE, bits), pillow(ImageOps.posterize, bits))


@pytest.mark.parametrize("factor", [0.1, 1.0, 1.9])
def test_sharpness_is_pillows_inside_of_the_border(factor):
    expected = np.asarray(ImageEnhance.Sharpness(Image.fromarray(IMAGE.astype(np.uint8))).enhance(factor), np.float32)
    np.testing.assert_allclose(sharpness(IMAGE, factor)[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1.5)


@pytest.mark.parametrize("quarters", [-1, 1, 2])
def test_quarter_turns_move_pixels_as_numpy_does(quarters):
    np.testing.assert_allclose(rotate(SQUARE, 90.0 * quarters), np.rot90(SQUARE, quarters), atol=1e-3)


def test_a_shift_moves_whole_pixels_and_fills_with_grey():
    expected = np.full_like(SQUARE, 128.0)
    expected[:, :4] = SQUARE[:, 1:]
    np.testing.assert_allclose(translate(SQUARE, x=0.2), expected, atol=1e-4)
    expected = np.full_like(SQUARE, 128.0)
    expected[2:] = SQUARE[:3]
    np.testing.assert_allclose(translate(SQUARE, y=-0.4), expected, atol=1e-4)


def test_a_shear_moves_each_row_by_its_distance_from_the_centre():
    sheared = shear(SQUARE, x=1.0).numpy()
    for row, shift in enumerate([-2, -1, 0, 1, 2]):
        expected = np.full([5, 3], 128.0)
        kept = slice(max(0, -shift), 5 - max(0, shift))
        expected[kept] = SQUARE[row, max(0, shift) : 5 + min(0, shift)]
        np.testing.assert_allclose(sheared[row], expected, atol=1e-4)
    np.testing.assert_allclose(shear(SQUARE.swapaxes(0, 1), y=1.0), sheared.swapaxes(0, 1), atol=1e-4)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_operation_of_no_strength_changes_nothing_and_of_full_strength_something(name):
    operation = OPERATIONS[name]
    weak, strong = (operation(IMAGE, tf.constant(level)).numpy() for level in (0.0, 1.0))
    if name not in WITHOUT_STRENGTH:
        np.testing.assert_array_equal(weak, IMAGE)
    assert np.array_equal(strong, IMAGE) == (name == "identity")


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(sorted(OPERATIONS)),
    level=st.floats(-1.0, 1.0, width=32),
    shape=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    seed=st.integers(0, 99),
)
def test_every_operation_keeps_the_shape_and_the_range(name, level, shape, seed):
    image = np.random.default_rng(seed).uniform(0.0, 255.0, (*shape, 3)).astype(np.float32)
    result = OPERATIONS[name](image, tf.constant(level)).numpy()
    assert result.shape == image.shape and result.dtype == np.float32
    assert result.min() >= 0.0 and result.max() <= 255.0


def test_no_layers_change_nothing():
    assert rand_augment(IMAGE, tf.constant([1, 2]), layers=0, magnitude=9.0) is IMAGE


def test_every_operation_is_drawn_in_both_directions():
    expected = {
        OPERATIONS[name](SQUARE, tf.constant(level)).numpy().round(2).tobytes()
        for name in OPERATIONS
        for level in (-0.5, 0.5)
    }
    traced = tf.function(lambda seed: rand_augment(SQUARE, seed, layers=1, magnitude=5.0))
    seen = {traced(tf.constant([0, draw], tf.int64)).numpy().round(2).tobytes() for draw in range(300)}
    assert seen == expected


def test_layers_are_drawn_one_by_one():
    traced = tf.function(lambda seed: rand_augment(SQUARE, seed, layers=2, magnitude=5.0))
    seen = {traced(tf.constant([0, draw], tf.int64)).numpy().tobytes() for draw in range(100)}
    assert len(seen) > 50  # One operation has at most 25 outcomes.
