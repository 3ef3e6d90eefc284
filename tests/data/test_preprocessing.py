import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ofar_tf.data import evaluation_view, resize_batch
from ofar_tf.data.preprocessing import stretch


def numbered(height: int, width: int) -> np.ndarray:
    """An image whose pixel at (row, column) is [row, column, 100]."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.full_like(rows, 100)], axis=-1).astype(np.uint8)


def test_a_square_of_the_right_size_is_seen_as_it_is():
    view = evaluation_view(numbered(4, 4), resolution=4)
    assert view.dtype == tf.float32
    np.testing.assert_array_equal(view, numbered(4, 4))


@pytest.mark.parametrize(("height", "width", "top", "left"), [(4, 8, 0, 2), (9, 4, 2, 0), (4, 7, 0, 1)])
def test_the_longer_side_is_cropped_to_the_centre(height, width, top, left):
    view = evaluation_view(numbered(height, width), resolution=4)
    np.testing.assert_array_equal(view, numbered(height, width)[top : top + 4, left : left + 4])


def test_resize_leaves_a_margin_around_the_crop():
    view = evaluation_view(numbered(8, 10), resolution=4, resize=8)
    np.testing.assert_array_equal(view, numbered(8, 10)[2:6, 3:7])


def test_the_longer_side_is_rounded_to_the_nearest_pixel():
    # 4 x 7 at a shorter side of 2 is 2 x 3.5, so 2 x 4, of which the middle two columns are left.
    resized = tf.image.resize(numbered(4, 7), [2, 4], antialias=True)
    np.testing.assert_array_equal(evaluation_view(numbered(4, 7), resolution=2), resized[:, 1:3])


def test_enlarging_is_bilinear_with_half_pixel_centres():
    image = np.zeros([2, 2, 3], np.uint8)
    image[:, 1] = 100
    # Output centres .25, .75, 1.25, 1.75 lie at -.25, .25, .75, 1.25 between the two pixel centres 0 and 1.
    np.testing.assert_allclose(evaluation_view(image, resolution=4)[0, :, 0], [0, 25, 75, 100])


def test_shrinking_averages_what_it_leaves_out():
    stripes = np.zeros([32, 32, 3], np.uint8)
    stripes[:, ::4] = 200
    np.testing.assert_allclose(evaluation_view(stripes, resolution=4)[:, 1:3], 50.0, atol=1.0)


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 60), width=st.integers(1, 60), resolution=st.integers(1, 40), margin=st.integers(0, 9))
def test_any_size_becomes_the_square(height, width, resolution, margin):
    view = evaluation_view(numbered(height, width), resolution=resolution, resize=resolution + margin)
    assert view.shape == (resolution, resolution, 3)
    np.testing.assert_allclose(view[..., 2], 100.0, atol=1e-3)


def test_a_crop_larger_than_the_resized_image_is_refused():
    with pytest.raises(
        ValueError, match=r"Expected a resize of at least the resolution, 8 pixels. Received: resize=6."
    ):
        evaluation_view(numbered(4, 4), resolution=8, resize=6)


def test_a_batch_of_the_right_size_is_returned_itself():
    images = tf.ones([2, 4, 4, 3])
    assert resize_batch(images, 4) is images


def test_halving_a_batch_averages_pairs():
    images = tf.reshape(tf.range(16.0), [1, 4, 4, 1])
    # Without antialiasing, a centre between four pixels weighs them equally: (0 + 1 + 4 + 5) / 4 and so on.
    np.testing.assert_allclose(resize_batch(images, 2)[0, :, :, 0], [[2.5, 4.5], [10.5, 12.5]])


def test_shrinking_a_batch_to_a_quarter_reads_four_pixels_of_sixteen():
    images = np.zeros([1, 4, 4, 1], np.float32)
    images[0, 1:3, 1:3] = 8.0
    np.testing.assert_allclose(resize_batch(images, 1), [[[[8.0]]]])


def test_one_trace_resizes_to_every_resolution():
    images = tf.random.stateless_uniform([2, 8, 8, 3], seed=[1, 2])
    traced = tf.function(resize_batch)
    for resolution in (8, 6, 4):
        resized = traced(images, tf.constant([resolution, resolution]))
        np.testing.assert_array_equal(resized, resize_batch(images, resolution))
    assert traced.experimental_get_tracing_count() == 1


def test_the_dtype_of_a_batch_is_kept():
    assert resize_batch(tf.ones([1, 8, 8, 3], tf.float16), 4).dtype == tf.float16


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(*[st.integers(1, 40)] * 4),
    kind=st.sampled_from([np.uint8, np.float32]),
    seed=st.integers(0, 2**31 - 1),
)
def test_stretching_gives_the_very_pixels_of_tensorflow(size, kind, seed):
    image = np.random.default_rng(seed).integers(0, 256, (size[0], size[1], 3)).astype(kind)
    expected = tf.cast(tf.image.resize(image, size[2:], antialias=True), tf.float32)
    np.testing.assert_array_equal(stretch(image, size[2:]), expected)
