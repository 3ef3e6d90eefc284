import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ofar_tf.checks.measurement import tflite_answers
from ofar_tf.checks.networks import keras_run
from ofar_tf.tasks.classification.accuracy import accuracy, label_ranks
from ofar_tf.tasks.classification.predictions import Predictions
from ofar_tf.tasks.classification.task import Classification


def in_batches(images, labels, size):
    return [(images[start : start + size], labels[start : start + size]) for start in range(0, len(images), size)]


def echo(classes):
    """A model whose scores are its images."""
    scores = keras.Input((classes,))
    return keras.Model(scores, keras.layers.Identity()(scores))


def keras_accuracy(model, batches):
    return Predictions.of(keras_run(model), batches).scores


def tflite_accuracy(path, batches, *, threads=1):
    return tflite_answers(path, batches, task=Classification(3), threads=threads).scores


def test_top1_and_top5_are_counted_as_by_hand():
    scores = np.array([[9, 8, 7, 6, 5, 4]] * 4 + [[1, 2, 3, 4, 5, 6]] * 4, np.float32)
    labels = np.array([0, 1, 4, 5, 5, 5, 1, 0])
    # Ranks of the labels: 0, 1, 4, 5 in falling scores; 0, 0, 4, 5 in rising ones.
    assert label_ranks(scores, labels).tolist() == [0, 1, 4, 5, 0, 0, 4, 5]
    assert keras_accuracy(echo(6), in_batches(scores, labels, 3)) == accuracy(top1=3 / 8, top5=6 / 8, images=8)


def test_equal_scores_are_sorted_by_class_index():
    assert label_ranks(np.array([[0.5, 0.5, 0.0]] * 3), np.array([0, 1, 2])).tolist() == [0, 1, 2]


def test_top5_of_at_most_five_classes_is_one_by_definition():
    scores = np.array([[5, 4, 3, 2, 1]], np.float32)
    assert keras_accuracy(echo(5), [(scores, np.array([4]))]) == accuracy(top1=0, top5=1, images=1)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_count_as_wrong_even_with_few_classes(bad):
    scores = np.array([[bad, 0, 0], [1, 0, 0]], np.float32)
    assert keras_accuracy(echo(3), [(scores, np.array([0, 0]))]) == accuracy(top1=0.5, top5=0.5, images=2)


@given(
    arrays.arrays(np.float32, (4, 7), elements=st.integers(0, 5).map(float)),
    st.lists(st.integers(0, 6), min_size=4, max_size=4),
)
def test_the_rank_is_the_place_in_a_stable_sort(scores, labels):
    order = np.argsort(-scores, axis=1, kind="stable")
    expected = [row.tolist().index(label) for row, label in zip(order, labels, strict=True)]
    assert label_ranks(scores, np.array(labels)).tolist() == expected


@pytest.mark.parametrize("threads", [1, 3])
def test_a_file_is_measured_alike_by_any_number_of_threads(threads, converted, images, labels):
    # Half of the labels are made wrong; the batch of one is smaller than the number of threads.
    half_wrong = np.where(np.arange(len(labels)) % 2, labels, (labels + 1) % 3)
    measured = tflite_accuracy(converted("float32"), in_batches(images, half_wrong, 23), threads=threads)
    assert measured == accuracy(top1=0.5, top5=1.0, images=24)


def test_the_int8_file_is_given_bytes(converted, images, labels):
    assert tflite_accuracy(converted("int8"), in_batches(images, labels, 8)).best >= 23 / 24
    as_bytes = np.round(images).astype(np.uint8)
    assert tflite_accuracy(converted("int8"), in_batches(as_bytes, labels, 8)).best >= 23 / 24


def test_keras_agrees_with_itself(network, images, labels):
    assert keras_accuracy(network, in_batches(images, labels, 10)) == accuracy(top1=1.0, top5=1.0, images=24)


def test_no_images_are_refused(converted):
    with pytest.raises(ValueError, match="Expected at least one image"):
        tflite_accuracy(converted("float32"), [])


def test_no_threads_are_refused(converted):
    with pytest.raises(ValueError, match=r"Expected at least one thread. Received: threads=0."):
        tflite_accuracy(converted("float32"), [], threads=0)


@pytest.mark.parametrize("values", [(1.1, 1.1, 3), (0.5, 0.4, 3), (-0.1, 0.5, 3), (0.5, 0.6, 0)])
def test_impossible_accuracies_are_refused(values):
    with pytest.raises(ValueError, match=r"Expected 0 <= top1 <= top5 <= 1 on at least one image"):
        accuracy(*values)
