import tensorflow as tf

from ofar_tf.data import Augmentation, evaluation_batches, load_dataset, training_batches
from ofar_tf.data.read_ahead import read_ahead, untuned
from ofar_tf.devices.processors import usable_cores


def is_tuned(data):
    return data.options().autotune.enabled is not False


def test_batches_are_the_same_and_read_by_as_many_calls_as_there_are_cores():
    batches = tf.data.Dataset.range(10).batch(4)
    ahead = read_ahead(batches)
    assert [batch.tolist() for batch in ahead.as_numpy_iterator()] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert not is_tuned(ahead) and ahead.options().autotune.initial_parallelism == usable_cores()


def test_a_data_set_that_says_whether_it_is_tuned_stays_as_it_is():
    options = tf.data.Options()
    options.autotune.enabled = True
    data = tf.data.Dataset.range(3).with_options(options)
    assert untuned(data) is data


def test_neither_our_own_images_nor_what_is_made_of_them_is_tuned():
    dataset = load_dataset("fashion_mnist_mini")
    batches = {"batch_size": 4, "resolution": 8}
    trained = training_batches(dataset, "train[:8]", augmentation=Augmentation("none"), seed=0, **batches)
    measured = evaluation_batches(dataset, "test[:8]", **batches)
    for data in (dataset.records("train[:8]"), dataset.examples("train[:8]"), trained, measured):
        assert not is_tuned(data)
