from types import SimpleNamespace

import keras
import numpy as np
import pytest

from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.training.callbacks import DivergenceError, SaveCheckpoint, StopOnDivergence
from ofar_tf.training.checkpoints import Checkpoints


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_a_loss_that_is_no_number_ends_the_run(supernet_builder, loss):
    callback = StopOnDivergence()
    callback.set_model(SimpleNamespace(supernet=supernet_builder()))
    callback.on_epoch_end(0, {"teacher_loss": 1.0, "student_loss": 0.0})
    with pytest.raises(DivergenceError, match=r"student_loss and 0 others not finite in epoch 5, which is not saved"):
        callback.on_epoch_end(4, {"teacher_loss": 1.0, "student_loss": loss})


def test_a_spoiled_loss_ends_the_run_after_the_same_step(trainer_builder, batch):
    model, steps = trainer_builder(), []
    model.compile(keras.optimizers.SGD(1e30))
    count = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda step, logs: steps.append(step))
    with pytest.raises(DivergenceError, match=r"_loss and \d others not finite in epoch 1, which is not saved"):
        model.fit(*batch, batch_size=1, epochs=2, verbose=0, callbacks=[StopOnDivergence(), MaskSearch(), count])
    assert 1 < len(steps) < 10


def test_weights_spoiled_by_the_last_update_end_the_run(supernet_builder):
    supernet = supernet_builder()
    supernet.get_layer("logits").bias.assign([0.0, np.nan, 0.0])
    callback = StopOnDivergence()
    callback.set_model(SimpleNamespace(supernet=supernet))
    with pytest.raises(DivergenceError, match="logits/bias"):
        callback.on_epoch_end(0, {"teacher_loss": 1.0})


def test_a_checkpoint_counts_the_epochs_that_are_done(trainer_builder, tmp_path):
    model, search, checkpoints = trainer_builder(), MaskSearch(), Checkpoints(tmp_path)
    model.compile("sgd")
    search.set_model(model)
    callback = SaveCheckpoint(checkpoints, search)
    callback.set_model(model)
    callback.on_epoch_end(6)
    epoch, state = checkpoints.latest()
    assert epoch == 7
    np.testing.assert_array_equal(state["weights/0"], model.supernet.weights[0])
