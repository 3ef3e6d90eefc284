"""What `OnceForAll.fit` makes of the callbacks that it is given."""

from typing import Any

import keras

from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.training.epoch_steps import EpochSteps
from ofar_tf.training.phases import Phases
from ofar_tf.training.step_spec import StepSpec


def callbacks_of_fit(given: Any, *, step: StepSpec, searching: bool, steps_per_epoch: int | None) -> Any:
    """Puts before the callbacks of a caller those that training needs: `Phases` and `EpochSteps`.

    Args:
        given: As `keras.Model.fit` takes them: a `CallbackList`, a callback, a list of them (and of `None`), or `None`.
        step: What a step does, and so which phases there are.
        searching: Whether structures are still searched.
        steps_per_epoch: Steps that an epoch is to have; `None` for as many as there are batches.

    Returns:
        A list of callbacks, or the `CallbackList` that was given where nothing is added to it. `EpochSteps` is not
        added to such a list, nor where the caller brings one.

    Raises:
        ValueError: If structures are to be searched and `MaskSearch` is not among the callbacks.
    """
    is_made = isinstance(given, keras.callbacks.CallbackList)
    callbacks = [each for each in (given.callbacks if is_made else keras.tree.flatten(given)) if each is not None]
    if searching and not any(isinstance(each, MaskSearch) for each in callbacks):
        raise ValueError(
            "Expected MaskSearch among the callbacks of fit, or a pool given to freeze before it. Received: "
            "neither, so no structure would ever be cut out."
        )
    added: list[Any] = [Phases()] if step.head_epochs or step.finetune_structures else []
    if not (steps_per_epoch is None or is_made or any(isinstance(each, EpochSteps) for each in callbacks)):
        added.append(EpochSteps(steps_per_epoch))
    return given if is_made and not added else [*added, *callbacks]
