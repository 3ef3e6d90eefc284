import keras
import pytest

from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.training.epoch_steps import EpochSteps
from ofar_tf.training.fit_callbacks import callbacks_of_fit
from ofar_tf.training.phases import Phases
from ofar_tf.training.step_spec import StepSpec


def kinds(given, *, head_epochs=0, searching=False, steps_per_epoch=None):
    step = StepSpec(head_epochs=head_epochs)
    made = callbacks_of_fit(given, step=step, searching=searching, steps_per_epoch=steps_per_epoch)
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
