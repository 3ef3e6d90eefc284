import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.tasks.classification.task import Classification
from ofar_tf.text.size import Size
from ofar_tf.training.given_data import checked_data

IMAGES = np.random.default_rng(0).uniform(0, 255, (5, 4, 4, 3)).astype(np.float32)
LABELS = np.array([0, 1, 2, 1, 0])


def given(x, y=None, weights=None, *, steps_per_epoch=None, epochs=1):
    task, size = Classification(classes=3), Size(4, 4)
    return checked_data(x, y, weights, task=task, size=size, steps_per_epoch=steps_per_epoch, epochs=epochs)


class Batches(keras.utils.PyDataset):
    def __init__(self, images):
        super().__init__()
        self.images = images

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.images, LABELS


def test_arrays_are_given_back_as_they_are_and_lists_as_arrays():
    assert given(IMAGES, LABELS)[:3] == (IMAGES, LABELS, None)
    images, labels, weights, _ = given(list(IMAGES), list(LABELS), [1.0] * 5)
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)
    np.testing.assert_array_equal(weights, np.ones(5))


def test_a_data_set_is_read_without_tensorflows_tuner_for_which_the_end_of_fit_would_wait():
    batches, *_ = given(tf.data.Dataset.from_tensors((IMAGES, LABELS)))
    assert batches.options().autotune.enabled is False


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((IMAGES / 255, LABELS), "values from .* bring them back to 0..255"),
        ((IMAGES, LABELS + 1), "label=3"),
        ((np.zeros((5, 8, 8, 3)), LABELS), r"Expected images \[batch, 4, 4, 3\]"),
        ((IMAGES, LABELS[:4]), "as many labels"),
        ((IMAGES,), r"Expected batches \(images, labels\)"),
        (({"image": IMAGES}, LABELS), "a dict of image"),
        ((IMAGES, LABELS, -np.ones(5)), "weights of 0 or more"),
        ((IMAGES, LABELS.astype(object)), r"arrays of numbers, .* Received: .*object \[5\]\)\.$"),
        (([IMAGES[0], IMAGES[1][:2]], LABELS[:2]), r"arrays of numbers, .* Received: 2 of several shapes\.$"),
        ((lambda: IMAGES, LABELS), r"arrays of numbers, .* Received: \(a function, "),
        ((iter([(IMAGES, LABELS)]),), r"arrays of numbers, .* Received: \(a list_iterator\)\.$"),
        ((None,), r"Expected images and labels as arrays of numbers, .* Received: nothing\.$"),
        (((batch for batch in ()),), r"a generator that gives at least one batch\. Received: one that gives none\.$"),
    ],
)
def test_arrays_that_make_no_sense_are_refused_before_training(arrays, message):
    with pytest.raises(ValueError, match=message):
        given(*arrays)


def test_a_label_is_looked_at_wherever_it_stands_among_many():
    images, labels = np.repeat(IMAGES, 300, axis=0), np.repeat(LABELS, 300)
    labels[-1] = 7
    with pytest.raises(ValueError, match="label=7"):
        given(images, labels)


def test_the_first_batch_of_what_gives_batches_is_looked_at_and_still_trained_on():
    sequence = Batches(IMAGES)
    assert given(sequence)[:3] == (sequence, None, None)
    with pytest.raises(ValueError, match=r"bring them back to 0..255"):
        given(Batches(IMAGES / 255))
    batches, *_ = given((IMAGES + k, LABELS) for k in range(3) if k == 0 or pytest.fail("read too early"))
    assert next(batches)[0] is not None
    with pytest.raises(ValueError, match=r"bring them back to 0..255"):
        given(batch for batch in [(IMAGES / 255, LABELS)])


def test_a_data_set_without_end_and_a_generator_for_several_epochs_must_say_where_one_ends():
    data = tf.data.Dataset.from_tensors((IMAGES, LABELS))
    with pytest.raises(ValueError, match="Expected steps_per_epoch for a data set that repeats without end"):
        given(data.repeat())
    with pytest.raises(ValueError, match=r"steps_per_epoch for a generator, .* Received: none, for 2 epochs\.$"):
        given((batch for batch in data), epochs=2)
    for finite in (given(data)[0], given(data.repeat(), steps_per_epoch=2)[0].take(1)):
        assert len(list(finite)) == 1


def test_the_form_of_data_is_that_of_an_image_a_label_and_a_weight_whatever_gives_them():
    alike = [
        given(IMAGES, LABELS),
        given(Batches(IMAGES)),
        given(batch for batch in [(IMAGES[:2], LABELS[:2])]),
        given(tf.data.Dataset.from_tensors((IMAGES, LABELS))),
    ]
    others = [
        given(IMAGES[..., 0], LABELS),
        given(IMAGES[..., :1], LABELS),
        given(IMAGES, LABELS[:, None]),
        given(IMAGES, np.eye(3)[LABELS]),
        given(IMAGES, LABELS, np.ones(5)),
    ]
    assert len({each.form for each in alike}) == 1
    assert len({each.form for each in [alike[0], *others]}) == 6
