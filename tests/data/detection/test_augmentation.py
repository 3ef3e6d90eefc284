"""Every box is drawn in a colour of its own, and must frame that colour in whatever view."""

import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.data.detection import BoxAugmentation
from ofar_tf.data.detection.mosaic import mosaic
from ofar_tf.text.size import Size

SIZE = Size(64, 96)
HEIGHT, WIDTH = 60, 40
# Top, left, bottom, right in pixels.
BOXES = np.array([[4, 2, 28, 16], [30, 20, 58, 38], [6, 24, 18, 36]])


def scene():
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for index, (top, left, bottom, right) in enumerate(BOXES):
        image[top:bottom, left:right, index] = 255
    boxes = np.zeros((5, 4), np.float32)
    boxes[:3] = BOXES / [HEIGHT, WIDTH, HEIGHT, WIDTH]
    labels = {
        "boxes": boxes,
        "classes": np.array([0, 1, 2, -1, -1], np.int32),
        "crowd": np.array([False, True, False, False, False]),
        "area": np.array([5.0, 6.0, 7.0, 0.0, 0.0], np.float32),
    }
    return image, {name: tf.constant(each) for name, each in labels.items()}


def framed(seen):
    """The rows and columns that a mask spans: top, left, bottom, right in pixels; None where it is empty."""
    if not seen.any():
        return None
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1])


def views(augmentation, count=12):
    image, labels = scene()
    run = tf.function(lambda seed: augmentation.view(tf.constant(image), labels, seed, size=SIZE))
    for number in range(count):
        view, found = run(tf.constant([7, number], tf.int64))
        yield view.numpy(), {name: each.numpy() for name, each in found.items()}


def check_boxes_frame_what_they_are_of(image, labels, *, pixels):
    scale = [SIZE.height, SIZE.width] * 2
    for box, kind in zip(labels["boxes"] * scale, labels["classes"], strict=True):
        if kind >= 0:
            np.testing.assert_allclose(box, framed(image[..., kind] > 127), atol=pixels)
        else:
            assert not box.any()


def test_without_variation_the_view_is_that_of_evaluation():
    for image, labels in views(BoxAugmentation(), count=2):
        np.testing.assert_allclose(labels["content"], [1.0, 43 / 96])  # 40 * 64 / 60 = 42.67 of 96 columns.
        np.testing.assert_array_equal(np.sort(labels["classes"]), [-1, -1, 0, 1, 2])
        np.testing.assert_array_equal(labels["crowd"], labels["classes"] == 1)
        np.testing.assert_array_equal(labels["area"][labels["classes"] == 1], [6.0])
        check_boxes_frame_what_they_are_of(image, labels, pixels=1.5)


@pytest.mark.parametrize("jitter", [(0.4, 0.9), (1.0, 1.6), (2.0, 4.0)])
def test_boxes_follow_mirrored_larger_smaller_and_cropped_images(jitter):
    sizes, shown = set(), 0
    for image, labels in views(BoxAugmentation(flip=True, scale_jitter=jitter)):
        check_boxes_frame_what_they_are_of(image, labels, pixels=2.5)
        down, right = np.round(labels["content"] * [SIZE.height, SIZE.width]).astype(int)
        assert not image[down:].any() and not image[:, right:].any()
        sizes.add((down, right))
        shown += (labels["classes"] >= 0).sum()
    assert len(sizes) > 3 and shown > 3


def test_of_a_cut_box_at_least_a_quarter_is_left_or_it_is_none():
    kept = lost = 0
    for image, labels in views(BoxAugmentation(scale_jitter=(2.5, 2.5)), count=40):
        for kind in range(3):
            frame = framed(image[..., kind] > 127)
            # Its size on this canvas, uncut; the scale is 2.5 times 64/60.
            whole = np.prod(BOXES[kind, 2:] - BOXES[kind, :2]) * (2.5 * 64 / 60) ** 2
            part = 0.0 if frame is None else np.prod(frame[2:] - frame[:2]) / whole
            if part > 0.35:
                assert kind in labels["classes"]
                kept += 1
            if part < 0.15:
                assert kind not in labels["classes"]
                lost += 1
    assert kept > 5 and lost > 5


def test_mirroring_happens_in_half_of_the_cases_and_is_its_own_inverse():
    lefts = [
        labels["boxes"][list(labels["classes"]).index(0), 1] for _, labels in views(BoxAugmentation(flip=True), 60)
    ]
    assert len(set(lefts)) == 2
    assert 15 < lefts.count(lefts[0]) < 45


def test_equal_seeds_give_equal_views_and_colours_leave_boxes_alone():
    plain = list(views(BoxAugmentation(flip=True, scale_jitter=(0.5, 2.0))))
    coloured = list(views(BoxAugmentation(flip=True, scale_jitter=(0.5, 2.0), color_jitter=0.8)))
    again = list(views(BoxAugmentation(flip=True, scale_jitter=(0.5, 2.0))))
    for (image, labels), (other, others), (same, _) in zip(plain, coloured, again, strict=True):
        np.testing.assert_array_equal(image, same)
        np.testing.assert_array_equal(labels["boxes"], others["boxes"])
        assert not np.array_equal(image, other)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale_jitter": (1.0,)}, "scale_jitter as"),
        ({"scale_jitter": (2.0, 1.0)}, "scale_jitter as"),
        ({"mosaic": 1.5}, "mosaic from 0 to 1"),
        ({"color_jitter": float("nan")}, "color_jitter from 0 to 1"),
    ],
)
def test_nonsense_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        BoxAugmentation(**settings)


def batch():
    """Four canvases, each of one grey with a box of another in its middle; the last covers half of its canvas."""
    images = np.zeros((4, SIZE.height, SIZE.width, 3), np.float32)
    boxes = np.zeros((4, 3, 4), np.float32)
    for index in range(4):
        images[index] = 10 * index + 5
        images[index, 16:48, 24:72] = 100 + 40 * index
        boxes[index, 0] = [0.25, 0.25, 0.75, 0.75]
    return tf.constant(images), {
        "boxes": tf.constant(boxes),
        "classes": tf.constant([[index, -1, -1] for index in range(4)]),
        "crowd": tf.zeros([4, 3], bool),
        "area": tf.ones([4, 3]),
        "content": tf.ones([4, 2]),
        "image_id": tf.range(4),
    }


@pytest.fixture(scope="module")
def mosaics():
    """Makes mosaics of batches of any size; traced once for each number of boxes."""
    return tf.function(mosaic)


def test_a_mosaic_shows_four_images_and_its_boxes_frame_what_is_left_of_theirs(mosaics):
    images, labels = batch()
    seen = set()
    for number in range(8):
        pictures, found = mosaics(images, labels, tf.constant([1, number]), share=1.0)
        assert pictures.shape == images.shape and found["boxes"].shape == (4, 3, 4)
        np.testing.assert_array_equal(found["content"], np.ones((4, 2)))
        rows = zip(pictures.numpy(), found["boxes"].numpy(), found["classes"].numpy(), strict=True)
        for picture, boxes, classes in rows:
            for box, kind in zip(boxes * ([SIZE.height, SIZE.width] * 2), classes, strict=True):
                if kind >= 0:
                    np.testing.assert_allclose(box, framed(picture[..., 0] == 100 + 40 * kind), atol=0.01)
            assert len(set(np.unique(picture)) & {5, 15, 25, 35}) >= 2
            seen |= set(classes)
    assert seen >= {0, 1, 2, 3}


def test_of_more_boxes_than_there_are_rows_the_largest_stay(mosaics):
    images, labels = batch()
    one_row = {**labels, **{name: labels[name][:, :1] for name in ("boxes", "classes", "crowd", "area")}}
    for number in range(5):
        _, three = mosaics(images, labels, tf.constant([1, number]), share=1.0)
        _, one = mosaics(images, one_row, tf.constant([1, number]), share=1.0)
        np.testing.assert_array_equal(one["boxes"][:, 0], three["boxes"][:, 0])


def test_as_many_images_become_mosaics_as_was_asked_for(mosaics):
    images, labels = (tf.nest.map_structure(lambda each: tf.repeat(each, 50, axis=0), part) for part in batch())
    pictures, found = mosaics(images, labels, tf.constant([2, 0]), share=0.3)
    same = np.array([np.array_equal(*pair) for pair in zip(pictures, images, strict=True)])
    assert 35 < (~same).sum() < 85  # 60 of 200, give or take four standard deviations.
    for name, each in labels.items():
        np.testing.assert_array_equal(found[name][same], each[same])
