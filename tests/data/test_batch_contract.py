import re

import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.data.batch_contract import BatchContract, explained

CONTRACT = BatchContract(classes=3, resolution=4)
PIXELS = np.random.default_rng(0).uniform(0, 255, (5, 4, 4, 3)).astype(np.float32)
INDICES = np.array([0, 2, 1, 2, 0])
ONE_HOT = np.eye(3, dtype=np.float32)[INDICES]


def batches(*arrays, size=2):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(size)


def received(images, labels, *weights):
    """Returns what the program sees of a data set."""
    return [np.concatenate(each) for each in zip(*CONTRACT.applied(batches(images, labels, *weights)), strict=True)]


@pytest.mark.parametrize("images", [PIXELS, PIXELS.astype(np.uint8), PIXELS.astype(np.float64), PIXELS.astype(int)])
def test_images_of_any_number_become_float32_of_the_same_values(images):
    seen, _ = received(images, INDICES)
    assert seen.dtype == np.float32
    np.testing.assert_array_equal(seen, images.astype(np.float32))


@pytest.mark.parametrize("gray", [PIXELS[..., 0], PIXELS[..., :1], PIXELS[..., 0].astype(np.uint8)])
def test_gray_images_are_repeated_to_rgb(gray):
    seen, _ = received(gray, INDICES)
    np.testing.assert_array_equal(seen, np.stack([gray.reshape(5, 4, 4)] * 3, axis=-1).astype(np.float32))


@pytest.mark.parametrize(
    "labels",
    [INDICES, INDICES.astype(np.int32), INDICES.astype(np.uint8), INDICES[:, None], INDICES.astype(np.float32)],
    ids=str,
)
def test_labels_that_are_indices_become_int64_vectors(labels):
    _, seen = received(PIXELS, labels)
    assert seen.dtype == np.int64
    np.testing.assert_array_equal(seen, INDICES)


@pytest.mark.parametrize("labels", [ONE_HOT, ONE_HOT.astype(int), ONE_HOT.astype(bool), 0.9 * ONE_HOT + 0.1 / 3])
def test_labels_that_are_probabilities_become_float32_rows(labels):
    _, seen = received(PIXELS, labels)
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen, labels.astype(np.float32))


@pytest.mark.parametrize("weights", [np.arange(5), np.arange(5.0), np.arange(5.0)[:, None]])
def test_weights_become_float32_vectors(weights):
    *_, seen = received(PIXELS, INDICES, weights)
    assert seen.dtype == np.float32
    np.testing.assert_array_equal(seen, np.arange(5))


def test_a_black_batch_and_the_overshoot_of_resizing_pass():
    CONTRACT.check(np.zeros((2, 4, 4, 3)), [0, 1])
    CONTRACT.check(np.where(PIXELS > 200, 255.4, -0.4), INDICES)


def test_a_data_set_that_leaves_shapes_open_is_read_by_its_first_batch():
    generated = tf.data.Dataset.from_generator(
        lambda: iter([(PIXELS[:2], INDICES[:2, None]), (PIXELS[2:], INDICES[2:, None])]),
        output_signature=(tf.TensorSpec(None, tf.float32), tf.TensorSpec([None, None], tf.int64)),
    )
    labels = np.concatenate([labels for _, labels in CONTRACT.applied(generated)])
    np.testing.assert_array_equal(labels, INDICES)


def test_any_square_will_do_where_no_resolution_is_asked_for():
    BatchContract(classes=3).check(PIXELS, INDICES)
    with pytest.raises(ValueError, match=r"Expected images \[batch, R, R, 3\]"):
        BatchContract(classes=3).check(PIXELS[:, 1:], INDICES)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (PIXELS / 255, "values from .* to 0.99.*; bring them back to 0..255, and let the network scale them"),
        (PIXELS / 127.5 - 1, "values from -0.99.* to 0.99.*; bring them back"),
        ((PIXELS > 100).astype(np.uint8), "values from 0 to 1; bring them back"),
        (PIXELS / 60 - 2.1, r"values from -2.* to 2[.\d]*\.$"),
        (PIXELS - 128, "values from -12.* to 12"),
        (PIXELS * 257, "values from .* to 65.*"),
        (np.where(PIXELS > 200, np.nan, PIXELS), "values from nan to nan"),
        (np.where(PIXELS > 200, np.inf, PIXELS), "values from .* to inf"),
        (PIXELS[..., :2], r"Expected images \[batch, 4, 4, 3\], or gray .* Received: float32 \[5, 4, 4, 2\]\.$"),
        (PIXELS[..., 0, 0], r"Received: float32 \[5, 4\]\.$"),
        (PIXELS[:, :3, :, 0], r"Received: float32 \[5, 3, 4\]\.$"),
        (PIXELS[:, :3, :3], r"Received: float32 \[5, 3, 3, 3\]\.$"),
        (PIXELS[0], r"Received: float32 \[4, 4, 3\]\.$"),
        (PIXELS.astype(str), r"Expected images .*Received: str\d+ \[5, 4, 4, 3\]\.$"),
        (PIXELS > 100, r"Received: bool \[5, 4, 4, 3\]\.$"),
    ],
)
def test_other_images_are_refused_in_one_line(images, message):
    with pytest.raises(ValueError, match=message) as error:
        CONTRACT.check(images, INDICES[: len(images)])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (INDICES + 1, "^Expected labels from 0 to 2, for 3 classes. Received: label=3.$"),
        (np.where(INDICES == 2, -1, INDICES), "Received: label=-1.$"),
        ((INDICES + 1)[:, None], "Received: label=3.$"),
        (INDICES + 0.5, r"Expected labels from 0 to 2, for 3 classes. Received: label=\d.5.$"),
        (np.eye(4)[INDICES], r"or as probabilities \[batch, 3\]. Received: float64 \[5, 4\].$"),
        (np.array(["a", "b", "c", "a", "b"]), r"Received: str\d+ \[5\]\.$"),
        (ONE_HOT + ONE_HOT[::-1], "^Expected rows of probabilities, .* Received: .*2"),
        (ONE_HOT * 2 - ONE_HOT[:, ::-1] * [1, 0, 1], "none negative"),
        (ONE_HOT * np.nan, "Expected rows of probabilities"),
        (INDICES[:4], "Expected as many labels .* Received: 5 and 4.$"),
    ],
)
def test_other_labels_are_refused_in_one_line(labels, message):
    with pytest.raises(ValueError, match=message) as error:
        CONTRACT.check(PIXELS, labels)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("weights", [[1, 1, 1, 1, -1], [1, 1, 1, 1, np.nan], [1, 1, 1, 1, np.inf]])
def test_weights_that_are_negative_or_not_finite_are_refused(weights):
    with pytest.raises(ValueError, match="Expected weights of 0 or more"):
        CONTRACT.check(PIXELS, INDICES, weights)


@pytest.mark.parametrize("weights", [np.ones((5, 2)), np.array(list("abcde"))])
def test_weights_of_another_form_are_refused(weights):
    with pytest.raises(ValueError, match=r"Expected weights \[batch\] of numbers"):
        CONTRACT.check(PIXELS, INDICES, weights)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (batches(PIXELS), r"Expected batches \(images, labels\) .* Received: \(float32 \[None, 4, 4, 3\]\)\.$"),
        (batches({"image": PIXELS, "label": INDICES}), r"Received: \(?a dict of image, label\)?\.$"),
        (tf.data.Dataset.from_tensor_slices((PIXELS, INDICES)), r"Expected images .* Received: float32 \[4, 4, 3\]\.$"),
        (batches(PIXELS, INDICES).take(0), "Expected a data set with at least one batch. Received: an empty one.$"),
        ([(PIXELS, INDICES)], "Expected a tf.data.Dataset of batches .* Received: a list.$"),
        (batches({"image": PIXELS}, INDICES), r"Received: \(a dict of image, int64 \[None\]\)\.$"),
        (batches(PIXELS, INDICES, INDICES, INDICES), "Expected batches"),
    ],
)
def test_what_is_no_data_set_of_batches_is_refused_in_one_line(data, message):
    with pytest.raises(ValueError, match=message) as error:
        CONTRACT.applied(data)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 1, 2, 3, 0]), "Expected labels from 0 to 2, for 3 classes. Received: label=3."),
        (np.array([0, 1, 2, -1, 0])[:, None], "Expected labels from 0 to 2, for 3 classes. Received: label=-1."),
        (np.array([0, 1, 2, 1.5, 0]), "Expected labels from 0 to 2, for 3 classes. Received: label=1.5."),
        (
            np.stack([*ONE_HOT[:4], [0.5, 0.5, 0.5]]),
            "Expected rows of probabilities, none negative and with the sum 1. Received: 0.5 0.5 0.5.",
        ),
    ],
)
def test_a_label_that_is_wrong_in_a_later_batch_is_refused_where_it_comes(labels, message):
    checked = CONTRACT.applied(batches(PIXELS, labels))
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"), explained():
        list(checked)


def test_a_later_batch_of_another_size_is_refused_where_it_comes():
    sizes = tf.data.Dataset.from_generator(
        lambda: iter([(PIXELS, INDICES), (PIXELS[:, :2], INDICES)]), output_types=(tf.float32, tf.int64)
    )
    checked = CONTRACT.applied(sizes)
    count, side = PIXELS.shape[:2]
    message = (
        f"Expected every batch in the form of the first, [batch, {side}, {side}, 3]. Received: [{count}, 2, {side}, 3]."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"), explained():
        list(checked)


def test_other_errors_go_on_as_they_came():
    with pytest.raises(tf.errors.InvalidArgumentError, match="something else"), explained():
        raise tf.errors.InvalidArgumentError(None, None, "something else")


@pytest.mark.parametrize("keywords", [{"classes": 1}, {"classes": 3, "resolution": 0}])
def test_a_contract_that_makes_no_sense_is_refused(keywords):
    with pytest.raises(ValueError, match="Expected two or more classes and a resolution of 1 or more"):
        BatchContract(**keywords)
