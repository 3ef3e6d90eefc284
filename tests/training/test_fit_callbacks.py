import keras
import numpy as np
import pytest

from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.training.epoch_steps import EpochSteps
from ofar_tf.training.fit_callbacks import callbacks_of_fit
from ofar_tf.training.phases import Phases
from ofar_tf.training.step_spec import StepSpec


def checked(given, *, step=None, searching=False, steps_per_epoch=None):
    return callbacks_of_fit(
        given,
        step=step or StepSpec(),
        searching=searching,
        steps_per_epoch=steps_per_epoch,
        losses=["teacher_loss", "student_loss"],
        progress="accuracy",
    )


def kinds(given, *, head_epochs=0, searching=False, steps_per_epoch=None):
    step = StepSpec(head_epochs=head_epochs)
    made = checked(given, step=step, searching=searching, steps_per_epoch=steps_per_epoch)
    return made if isinstance(made, keras.callbacks.CallbackList) else [type(each) for each in made]


@pytest.mark.parametrize("nothing", [None, [], [None]])
def test_without_callbacks_of_the_caller_there_are_those_that_training_needs(nothing):
    assert kinds(nothing) == []
    assert kinds(nothing, head_epochs=1) == [Phases]
    assert kinds(nothing, head_epochs=1, steps_per_epoch=5) == [Phases, EpochSteps]


def test_callbacks_that_are_none_are_left_out_and_nested_ones_counted():
    search = MaskSearch(epochs=1)
    assert kinds([None, [search]], searching=True) == [MaskSearch]
    assert kinds([None, [search]], searching=True, head_epochs=1) == [Phases, MaskSearch]
    assert kinds(search, searching=True, steps_per_epoch=5) == [EpochSteps, MaskSearch]


def test_steps_that_the_caller_counts_are_counted_once():
    assert kinds([EpochSteps(5)], steps_per_epoch=5) == [EpochSteps]


def test_a_list_that_keras_made_stays_one_but_for_the_phases():
    made = keras.callbacks.CallbackList([keras.callbacks.TerminateOnNaN()])
    assert kinds(made, steps_per_epoch=5) is made
    assert kinds(made, head_epochs=1) == [Phases, keras.callbacks.TerminateOnNaN]


@pytest.mark.parametrize("given", [None, [None], [EpochSteps(5)], keras.callbacks.CallbackList([])])
def test_a_search_without_its_callback_is_refused(given):
    with pytest.raises(ValueError, match=r"^Expected MaskSearch among the callbacks of fit"):
        kinds(given, searching=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("EarlyStopping", r"callbacks of Keras, made by calling their class\. Received: 'EarlyStopping'\.$"),
        (keras.callbacks.TerminateOnNaN, r"made by calling their class\. Received: <class .*TerminateOnNaN'>\.$"),
        (keras.callbacks.EarlyStopping(), r"EarlyStopping to monitor one of teacher_loss, student_loss and accuracy: "
         r"fit validates nothing\. Received: monitor='val_loss'\.$"),
        (keras.callbacks.ReduceLROnPlateau("loss"), r"ReduceLROnPlateau to monitor .* Received: monitor='loss'\.$"),
        (keras.callbacks.ModelCheckpoint("a.weights.h5", save_weights_only=True, save_best_only=True),
         r"ModelCheckpoint to monitor .* Received: monitor='val_loss'\.$"),
        (keras.callbacks.ModelCheckpoint("a.keras"), r"save_weights_only=True.* Received: save_weights_only=False\.$"),
        (keras.callbacks.BackupAndRestore("folder"), r"Expected no BackupAndRestore: .* Received: BackupAndRestore\.$"),
    ],
)  # fmt: skip
def test_callbacks_that_would_do_nothing_or_spoil_the_family_are_refused_before_training(given, message):
    with pytest.raises(ValueError, match=message):
        checked([given])


def test_callbacks_that_watch_a_number_there_is_know_which_way_is_better():
    given = [
        keras.callbacks.EarlyStopping("teacher_loss"),
        keras.callbacks.EarlyStopping("accuracy"),
        keras.callbacks.EarlyStopping("accuracy", mode="min"),
        keras.callbacks.ModelCheckpoint("{epoch}.weights.h5", save_weights_only=True),
    ]
    assert [each.mode for each in checked(given)] == ["min", "max", "min", "auto"]


def test_numbers_that_a_callback_of_the_caller_adds_can_be_watched():
    class Measures(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_top1"] = 0.5

    for own in (Measures(), keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(val_top1=1))):
        assert len(checked([own, keras.callbacks.EarlyStopping("val_top1", mode="max")])) == 2


def play(callbacks, epochs):
    """Goes through epochs, each a phase and a loss of students, as `fit` does; the one weight is the epoch."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile("sgd")
    model.optimizer.learning_rate = 1.0
    for each in callbacks:
        each.set_model(model)
        each.on_train_begin()
    for epoch, (model.phase, loss) in enumerate(epochs):
        for each in callbacks:
            each.on_epoch_begin(epoch)
        model.set_weights([np.full((1, 1), epoch)])
        for each in callbacks:
            each.on_epoch_end(epoch, {"student_loss": loss})
        if model.stop_training:
            break
    for each in callbacks:
        each.on_train_end()
    return epoch, float(model.get_weights()[0][0, 0]), float(model.optimizer.learning_rate)


def test_what_waits_for_a_number_to_improve_sees_none_of_a_search_and_begins_anew_for_other_networks(
    tmp_path,
):
    search, joint = [("search", 0.0)] * 3, [("joint", loss) for loss in (0.9, 0.8, 0.85)]
    stops = keras.callbacks.EarlyStopping("student_loss", patience=2, restore_best_weights=True)
    slows = keras.callbacks.ReduceLROnPlateau("student_loss", factor=0.5, patience=1)
    place = str(tmp_path / "{epoch}.weights.h5")
    keeps = keras.callbacks.ModelCheckpoint(place, "student_loss", save_best_only=True, save_weights_only=True)
    callbacks = checked([MaskSearch(), stops, slows, keeps], searching=True)[1:]
    assert play(callbacks, [*search, *joint, ("joint", 0.86), ("joint", 0.1)]) == (6, 4.0, 0.25)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["4.weights.h5", "5.weights.h5"]
    # No more of joint training is waited for, nor is its best put back, where other networks train.
    assert play(callbacks[:1], [*search, *joint, ("finetune", 2.0), ("finetune", 2.1)]) == (7, 6.0, 1.0)
    # Where a pool is there from the start, they are as they were given.
    assert checked([stops, keeps]) == [stops, keeps]
