from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.training.epoch_steps import EpochSoFar, EpochSteps, steps_at_once
from ofar_tf.training.preemption import PreemptedError, Preemption


@pytest.mark.parametrize(("planned", "at_once"), [(5, 1), (5, 2), pytest.param(4, 2, marks=pytest.mark.slow), (3, 7)])
def test_an_epoch_has_as_many_steps_as_planned_however_many_run_at_once(trainer_builder, batch, planned, at_once):
    model, seen = trainer_builder(), []
    model.compile(keras.optimizers.SGD(0.01), steps_per_execution=at_once)
    data = tf.data.Dataset.from_tensor_slices(batch).repeat().batch(2)
    ends = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((int(model.optimizer.iterations), logs["teacher_loss"]))
    )
    model.fit(data, epochs=3, steps_per_epoch=planned, verbose=0, callbacks=[MaskSearch(epochs=1), ends])
    assert [steps for steps, _ in seen] == [planned, 2 * planned, 3 * planned]
    assert all(np.isfinite(loss) for _, loss in seen)
    assert model.steps_per_execution == at_once


@pytest.mark.parametrize(("steps", "at_once"), [(100, 10), (99, 9), (78, 13), (14, 7), (157, 10), (3, 3), (1, 1)])
def test_a_fast_device_runs_about_ten_steps_at_once_without_any_left_over_if_that_can_be(steps, at_once):
    assert steps_at_once(steps) == at_once


def test_losses_stay_on_the_device_but_for_every_nth_step_and_the_last(trainer_builder, batch):
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, sorted(logs or {})))

    histories = []
    for look_every in (1, 3):
        model = trainer_builder()
        model.compile(keras.optimizers.SGD(0.01))
        data = tf.data.Dataset.from_tensor_slices(batch).repeat().batch(2)
        seen.clear()
        callbacks = [EpochSteps(5, look_every=look_every), MaskSearch(epochs=1), Watch()]
        histories.append(model.fit(data, epochs=1, steps_per_epoch=5, verbose=0, callbacks=callbacks).history)
        names = sorted(metric.name for metric in model.metrics)
        assert seen == [(step, names if look_every == 1 or step in (2, 4) else []) for step in range(5)]
    # What an epoch comes to is the same.
    assert histories[0] == histories[1]


def test_what_an_epoch_has_come_to_survives_a_checkpoint():
    so_far = EpochSoFar(3, 0.1, (np.array([1.5], np.float32), np.array([4.0], np.float32)))
    again = EpochSoFar.read({"weights/0": np.zeros(2), **so_far.arrays()})
    assert (again.step, again.learning_rate) == (3, 0.1)
    np.testing.assert_array_equal(np.concatenate(again.sums), np.concatenate(so_far.sums))
    assert EpochSoFar.read({"weights/0": np.zeros(2)}) is None


@pytest.mark.parametrize("state", [{"epoch/step": np.array(3)}, {"epoch/step": np.zeros(2), "epoch/learning_rate": 1}])
def test_a_checkpoint_from_within_an_epoch_that_lacks_something_is_refused(state):
    with pytest.raises(ValueError, match=r"^Expected a checkpoint from within an epoch"):
        EpochSoFar.read(state)


@pytest.mark.parametrize("step", [0, 6])
def test_more_steps_than_an_epoch_has_are_refused(step):
    with pytest.raises(ValueError, match=rf"within an epoch of 5 steps\. Received: one after {step} steps"):
        EpochSteps(5, resumed=EpochSoFar(step, 0.1, ()))


def test_on_other_devices_each_metric_gets_the_mean(trainer_builder):
    model = trainer_builder()
    sums = tuple(np.array([1.0, 3.0], np.float32) for metric in model.metrics for _ in metric.variables)
    EpochSoFar(1, 0.1, sums).put_back(model)
    assert {float(variable) for metric in model.metrics for variable in metric.variables} == {2.0}


def test_a_process_with_nothing_to_lose_ends_at_once_and_others_after_their_step():
    preemption = Preemption()
    with pytest.raises(PreemptedError, match=r"^Stopped by SIGTERM\."):
        preemption._note(15, None)
    preemption = Preemption()
    preemption.something_to_lose = True
    preemption._note(1, None)
    with pytest.raises(PreemptedError, match=r"^Stopped by SIGHUP\.") as caught:
        preemption.end()
    assert (preemption.requested, caught.value.status) == (1, 129)


def test_a_step_is_counted_within_its_epoch_only():
    steps = EpochSteps(10)
    steps.set_model(SimpleNamespace())
    assert [steps.done(batch) for batch in (0, 3, 7, 11)] == [1, 4, 8, 10]
