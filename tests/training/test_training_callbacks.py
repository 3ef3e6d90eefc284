import keras
import numpy as np
import pytest

from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.training.callbacks import DivergenceError, SaveCheckpoint, StopOnDivergence
from ofar_tf.training.checkpoints import Checkpoints


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_a_loss_that_is_no_number_ends_the_run(trainer_builder, loss):
    callback, model = StopOnDivergence(), trainer_builder()
    model.compile("sgd")
    callback.set_model(model)
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


OWN = [{"weights": "separate"}, {"batch_norm": "switchable"}]


@pytest.mark.parametrize("arguments", [{}, *OWN])
@pytest.mark.parametrize("what", ["weights", "own", "momenta"])
def test_whatever_the_last_update_spoiled_ends_the_run(trainer_builder, arguments, what):
    model = trainer_builder(**arguments)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    places = {"weights": model.supernet.weights, "own": model.pool_weights.own, "momenta": model.optimizer.variables}
    variables = [each for each in places[what] if len(each.shape)]
    callback = StopOnDivergence()
    callback.set_model(model)
    callback.on_epoch_end(0, {"teacher_loss": 1.0})
    for variable in variables[:1] + variables[-1:]:
        spoiled = np.array(variable)
        spoiled.flat[-1] = np.nan
        before, _ = np.array(variable), variable.assign(spoiled)
        with pytest.raises(DivergenceError, match=variable.path):
            callback.on_epoch_end(0, {"teacher_loss": 1.0})
        variable.assign(before)
    assert variables or (what, arguments) == ("own", {})


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
