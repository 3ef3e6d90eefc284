from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.training.data_end import DataEnd

# Keras says so at the end of whatever does not say its length.
pytestmark = pytest.mark.filterwarnings("ignore:.*ran out of data")
ENDED = r"^Expected data for every epoch: .* Received: data that ended after {} batches of epoch {}\.$"


@pytest.fixture
def fitted(trainer_builder, supernet_builder):
    """Trains two epochs, with an optimizer that shrinks weights by itself."""

    def fit(data, **arguments):
        model = trainer_builder(supernet_builder(), pruning_rates=[0.0, 0.5])
        model.compile(keras.optimizers.AdamW(0.01, weight_decay=0.1))
        return model, model.fit(data, epochs=2, verbose=0, callbacks=[MaskSearch(epochs=1)], **arguments).history

    return fit


def test_data_that_do_not_say_how_many_they_are_train_what_others_do(fitted, batch):
    # TensorFlow counted one more step at the end of each epoch, with its decay, and divided the losses by it.
    known = tf.data.Dataset.from_tensor_slices(batch).batch(2)
    unknown = known.filter(lambda *_: True)
    assert unknown.cardinality() == tf.data.UNKNOWN_CARDINALITY
    (model, losses), (other, same) = fitted(known), fitted(unknown)
    assert same == losses
    assert int(other.optimizer.iterations) == 10
    for weight, expected in zip(other.supernet.weights, model.supernet.weights, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_a_generator_that_ends_too_early_ends_training(fitted, batch):
    batches = (tuple(each[start : start + 2] for each in batch) for start in range(0, 10, 2))
    with pytest.raises(ValueError, match=ENDED.format(2, 2)):  # Keras took the first two batches for ever.
        fitted(batches, steps_per_epoch=3)


@pytest.mark.parametrize(
    ("once", "done", "wanted", "is_enough"),
    [
        (False, 0, 5, False),  # It was an epoch whose losses were zero.
        (False, 0, None, False),
        (False, 3, 5, True),  # Keras begins such data anew.
        (True, 4, 5, False),
        (True, 5, 5, True),
        (True, 10, 5, True),  # On two devices.
        (True, 3, None, True),
    ],
)
def test_an_epoch_has_batches_and_all_of_what_cannot_be_read_again(once, done, wanted, is_enough):
    end = DataEnd(once=once)
    end.set_params({"steps": wanted})
    end.set_model(SimpleNamespace(steps_of_epoch=done))
    if is_enough:
        end.on_epoch_end(1)
    else:
        with pytest.raises(ValueError, match=ENDED.format(done, 2)):
            end.on_epoch_end(1)
