import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.data import Augmentation, evaluation_view

SEED = tf.constant([3, 5], tf.int64)


def numbered(height: int, width: int) -> np.ndarray:
    """An image whose pixel at (row, column) is [row, column, 100]."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.full_like(rows, 100)], axis=-1).astype(np.uint8)


def test_without_augmentation_training_sees_the_evaluation_view():
    view = Augmentation("none").view(numbered(6, 9), SEED, resolution=4)
    np.testing.assert_array_equal(view, evaluation_view(numbered(6, 9), resolution=4))


def test_flip_mirrors_about_half_of_the_views():
    image = numbered(3, 3)
    flipped = 0
    for draw in range(200):
        view = Augmentation("none", flip=True).view(image, tf.constant([0, draw], tf.int64), resolution=3).numpy()
        mirrored = np.array_equal(view, image[:, ::-1])
        assert mirrored or np.array_equal(view, image)
        flipped += mirrored
    assert 70 <= flipped <= 130  # More than four standard deviations from 100 on each side.


def test_pad_and_crop_takes_windows_of_the_padded_image():
    image = numbered(2, 2) + 1
    padded = np.pad(image, [(1, 1), (1, 1), (0, 0)])
    windows = {padded[top : top + 2, left : left + 2].tobytes() for top in range(3) for left in range(3)}
    seen = {
        Augmentation("pad_and_crop", padding=1)
        .view(image, tf.constant([0, draw], tf.int64), resolution=2)
        .numpy()
        .astype(np.uint8)
        .tobytes()
        for draw in range(150)
    }
    assert seen == windows


def test_pad_and_crop_resizes_first():
    view = Augmentation("pad_and_crop", padding=0).view(np.full([9, 12, 3], 50, np.uint8), SEED, resolution=6)
    np.testing.assert_allclose(view, np.full([6, 6, 3], 50.0), atol=1e-4)


@pytest.mark.parametrize("crop_scale", [(0.25, 0.5), (0.08, 0.2)])
def test_random_resized_crop_covers_windows_of_the_asked_area_and_shape(crop_scale):
    image = numbered(100, 120).astype(np.float32)
    corners = []
    for draw in range(60):
        seed = tf.constant([1, draw], tf.int64)
        view = Augmentation("random_resized_crop", crop_scale=crop_scale).view(image, seed, resolution=50).numpy()
        # The image counts rows and columns: neighbouring pixels of the view differ by the window's side over 50.
        height, width = 50 * (view[30, 25, 0] - view[20, 25, 0]) / 10, 50 * (view[25, 30, 1] - view[25, 20, 1]) / 10
        assert crop_scale[0] - 0.03 <= height * width / 12000 <= crop_scale[1] + 0.03
        assert 0.7 <= width / height <= 1.4
        corners.append((view[0, 0, 0], view[0, 0, 1]))
    assert len(set(corners)) > 40


def test_the_whole_image_is_the_window_where_none_can_be_drawn():
    view = Augmentation("random_resized_crop", crop_scale=(1.0, 1.0)).view(
        np.full([4, 100, 3], 9, np.uint8), SEED, resolution=8
    )
    np.testing.assert_allclose(view, np.full([8, 8, 3], 9.0), atol=1e-4)


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation("pad_and_crop", flip=True),
        Augmentation("random_resized_crop", flip=True),
        Augmentation("none", color_jitter=0.4),
        Augmentation("none", rand_augment_layers=2),
    ],
)
def test_the_seed_alone_decides_in_and_outside_of_a_graph(augmentation):
    def view(seed):
        return augmentation.view(4 * numbered(20, 20), seed, resolution=20)

    first = view(SEED).numpy()
    tf.random.set_seed(1234)
    np.testing.assert_array_equal(view(SEED), first)
    np.testing.assert_allclose(tf.function(view)(SEED), first, atol=1e-3)
    assert any(not np.array_equal(view(tf.constant([3, other], tf.int64)), first) for other in range(6, 9))


def test_what_is_off_leaves_every_pixel_alone():
    plain = Augmentation("random_resized_crop", flip=True)
    off = Augmentation("random_resized_crop", flip=True, color_jitter=0.0, rand_augment_layers=0)
    np.testing.assert_array_equal(*(a.view(numbered(20, 20), SEED, resolution=9) for a in (plain, off)))


def test_colours_vary_and_the_crop_stays():
    # On greys in the middle of the range, jitter is a line with a positive slope: same crop means correlation 1.
    image = (100 + 2 * numbered(24, 24)[..., :1] + numbered(24, 24)[..., 1:2]).repeat(3, axis=-1).astype(np.uint8)
    slopes = []
    for draw in range(8):
        plain, jittered = (
            Augmentation("random_resized_crop", flip=True, color_jitter=strength)
            .view(image, tf.constant([7, draw], tf.int64), resolution=12)
            .numpy()
            for strength in (0.0, 0.2)
        )
        assert np.corrcoef(plain.ravel(), jittered.ravel())[0, 1] > 0.9999
        slopes.append(jittered.std() / plain.std())
    assert 0.6 < min(slopes) < 0.95 and 1.05 < max(slopes) < 1.5


def test_rand_augment_comes_after_the_same_crop():
    image = 8 * numbered(12, 12)
    same = 0
    for draw in range(56):
        seed = tf.constant([7, draw], tf.int64)
        plain, augmented = (
            Augmentation("pad_and_crop", flip=True, rand_augment_layers=layers, rand_augment_magnitude=0.0).view(
                image, seed, resolution=12
            )
            for layers in (0, 1)
        )
        same += np.array_equal(plain, augmented)
    assert same >= 40  # At magnitude 0, twelve of fourteen operations change nothing: 48 of 56.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "mixup"}, "Expected an augmentation out of none, pad_and_crop, random_resized_crop"),
        ({"padding": -1}, "Expected a padding of 0 or more pixels. Received: padding=-1"),
        ({"crop_scale": (0.0, 1.0)}, "Expected crop_scale"),
        ({"crop_scale": (0.5, 0.25)}, "Expected crop_scale"),
        ({"crop_scale": (0.5, 1.1)}, "Expected crop_scale"),
        ({"color_jitter": 1.5}, "Expected color_jitter from 0 to 1. Received: color_jitter=1.5."),
        ({"color_jitter": float("nan")}, "Received: color_jitter=nan."),
        ({"rand_augment_layers": -1}, "Expected rand_augment_layers of 0 or more. Received: rand_augment_layers=-1."),
        ({"rand_augment_magnitude": 11.0}, "Expected rand_augment_magnitude from 0 to 10. Received: .*=11.0."),
    ],
)
def test_augmentations_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**({"kind": "none"} | arguments))


def test_a_view_of_no_pixels_is_refused():
    with pytest.raises(ValueError, match="Expected a resolution of at least 1 pixel"):
        Augmentation("none").view(numbered(4, 4), SEED, resolution=0)
