import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from ofar_tf.data import ImageDataset, class_weights, count_labels, load_dataset


def test_labels_are_counted_in_any_split():
    dataset = load_dataset("fashion_mnist_mini")
    np.testing.assert_array_equal(count_labels(dataset, "train"), [500] * 10)
    counts = count_labels(dataset, "test[:30]+test[900:]")
    assert counts.sum() == 130
    labels = [int(label) for _, label in dataset.records("test[:30]+test[900:]")]
    np.testing.assert_array_equal(counts, np.bincount(labels, minlength=10))


def test_labels_of_a_set_that_is_not_in_memory_are_read():
    def read(split, start, stop):
        return tf.data.Dataset.range(start, stop).map(lambda index: (index, index % 3 // 2))

    dataset = ImageDataset("numbers", ("a", "b", "never"), {"train": 10}, read, decode=lambda record: record)
    assert count_labels(dataset, "train").tolist() == [7, 3, 0]


def test_balanced_weights_are_those_of_scikit_learn():
    # sklearn.utils.class_weight.compute_class_weight("balanced", ...) on 6, 3 and 1 labels.
    np.testing.assert_allclose(class_weights("balanced", counts=[6, 3, 1]), [10 / 18, 10 / 9, 10 / 3])


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=8))
def test_balanced_classes_weigh_the_same_and_images_1_on_average(counts):
    totals = class_weights("balanced", counts=counts) * np.array(counts)
    np.testing.assert_allclose(totals, sum(counts) / len(counts), rtol=1e-5)
    np.testing.assert_allclose(totals.sum(), sum(counts), rtol=1e-5)


def test_a_class_without_images_weighs_nothing():
    np.testing.assert_allclose(class_weights("balanced", counts=[6, 0, 2]), [8 / 18, 0, 8 / 6])


@pytest.mark.parametrize(
    ("given_weights", "expected"),
    [([1, 2, 9], [1, 2, 9]), ({2: 9.0}, [1, 1, 9]), ({0: 0.5, 1: 0}, [0.5, 0, 1]), (np.array([1.0, 0, 0]), [1, 0, 0])],
)
def test_weights_are_given_for_each_class_or_by_label(given_weights, expected):
    weights = class_weights(given_weights, counts=[1, 1, 1])
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights, np.array(expected, np.float32))


@pytest.mark.parametrize(
    ("given_weights", "message"),
    [
        ("even", "Expected class weights as 'balanced' or numbers. Received: class_weight='even'.$"),
        ([1, 2], "Expected 3 class weights of 0 or more"),
        ([1, 2, -1], "Expected 3 class weights of 0 or more"),
        ([0, 0, 0], "Expected 3 class weights of 0 or more"),
        ([1, 2, np.nan], "Expected 3 class weights of 0 or more"),
        ([1, 2, np.inf], "Expected 3 class weights of 0 or more"),
        ({3: 1.0}, "Expected class weights by labels from 0 to 2. Received: class_weight with 3.$"),
        ({"cat": 1.0}, "Received: class_weight with 'cat'.$"),
    ],
)
def test_other_weights_are_refused_in_one_line(given_weights, message):
    with pytest.raises(ValueError, match=message) as error:
        class_weights(given_weights, counts=[1, 1, 1])
    assert "\n" not in str(error.value)
