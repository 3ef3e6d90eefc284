import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ofar_tf.data import augment, evaluation_view, resize_batch

SEED = tf.constant([3, 5], tf.int64)


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


def test_without_augmentation_training_sees_the_evaluation_view():
    view = augment(numbered(6, 9), SEED, resolution=4, augmentation="none", flip=False)
    np.testing.assert_array_equal(view, evaluation_view(numbered(6, 9), resolution=4))


def test_flip_mirrors_about_half_of_the_views():
    image = numbered(3, 3)
    flipped = 0
    for draw in range(200):
        view = augment(image, tf.constant([0, draw], tf.int64), resolution=3, augmentation="none", flip=True).numpy()
        mirrored = np.array_equal(view, image[:, ::-1])
        assert mirrored or np.array_equal(view, image)
        flipped += mirrored
    assert 70 <= flipped <= 130  # More than four standard deviations from 100 on each side.


def test_pad_and_crop_takes_windows_of_the_padded_image():
    image = numbered(2, 2) + 1
    padded = np.pad(image, [(1, 1), (1, 1), (0, 0)])
    windows = {padded[top : top + 2, left : left + 2].tobytes() for top in range(3) for left in range(3)}
    seen = {
        augment(
            image,
            tf.constant([0, draw], tf.int64),
            resolution=2,
            augmentation="pad_and_crop",
            flip=False,
            padding=1,
        )
        .numpy()
        .astype(np.uint8)
        .tobytes()
        for draw in range(150)
    }
    assert seen == windows


def test_pad_and_crop_resizes_first():
    view = augment(
        np.full([9, 12, 3], 50, np.uint8), SEED, resolution=6, augmentation="pad_and_crop", flip=False, padding=0
    )
    np.testing.assert_allclose(view, np.full([6, 6, 3], 50.0), atol=1e-4)


@pytest.mark.parametrize("crop_scale", [(0.25, 0.5), (0.08, 0.2)])
def test_random_resized_crop_covers_windows_of_the_asked_area_and_shape(crop_scale):
    image = numbered(100, 120).astype(np.float32)
    corners = []
    for draw in range(60):
        seed = tf.constant([1, draw], tf.int64)
        view = augment(
            image, seed, resolution=50, augmentation="random_resized_crop", flip=False, crop_scale=crop_scale
        ).numpy()
        # The image counts rows and columns: neighbouring pixels of the view differ by the window's side over 50.
        height, width = 50 * (view[30, 25, 0] - view[20, 25, 0]) / 10, 50 * (view[25, 30, 1] - view[25, 20, 1]) / 10
        assert crop_scale[0] - 0.03 <= height * width / 12000 <= crop_scale[1] + 0.03
        assert 0.7 <= width / height <= 1.4
        corners.append((view[0, 0, 0], view[0, 0, 1]))
    assert len(set(corners)) > 40


def test_the_whole_image_is_the_window_where_none_can_be_drawn():
    view = augment(
        np.full([4, 100, 3], 9, np.uint8),
        SEED,
        resolution=8,
        augmentation="random_resized_crop",
        flip=False,
        crop_scale=(1.0, 1.0),
    )
    np.testing.assert_allclose(view, np.full([8, 8, 3], 9.0), atol=1e-4)


@pytest.mark.parametrize("augmentation", ["pad_and_crop", "random_resized_crop"])
def test_the_seed_alone_decides_in_and_outside_of_a_graph(augmentation):
    def view(seed):
        return augment(numbered(20, 20), seed, resolution=20, augmentation=augmentation, flip=True)

    first = view(SEED).numpy()
    tf.random.set_seed(1234)
    np.testing.assert_array_equal(view(SEED), first)
    np.testing.assert_array_equal(tf.function(view)(SEED), first)
    assert any(not np.array_equal(view(tf.constant([3, other], tf.int64)), first) for other in range(6, 9))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"augmentation": "mixup"}, "Expected an augmentation out of none, pad_and_crop, random_resized_crop"),
        ({"padding": -1}, "Expected a padding of 0 or more pixels. Received: padding=-1"),
        ({"crop_scale": (0.0, 1.0)}, "Expected crop_scale"),
        ({"crop_scale": (0.5, 0.25)}, "Expected crop_scale"),
        ({"crop_scale": (0.5, 1.1)}, "Expected crop_scale"),
        ({"resolution": 0}, "Expected a resolution of at least 1 pixel"),
    ],
)
def test_augmentations_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        augment(numbered(4, 4), SEED, **({"resolution": 4, "augmentation": "none", "flip": False} | arguments))


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
        resized = traced(images, tf.constant(resolution))
        np.testing.assert_array_equal(resized, resize_batch(images, resolution))
    assert traced.experimental_get_tracing_count() == 1


def test_the_dtype_of_a_batch_is_kept():
    assert resize_batch(tf.ones([1, 8, 8, 3], tf.float16), 4).dtype == tf.float16
