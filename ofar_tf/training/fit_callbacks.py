"""What `OnceForAll.fit` makes of the callbacks that it is given."""

from collections.abc import Sequence
from typing import Any

import keras

from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.training.after_search import AfterSearch, after_search
from ofar_tf.training.data_end import DataEnd
from ofar_tf.training.epoch_steps import EpochSteps
from ofar_tf.training.phases import Phases
from ofar_tf.training.step_spec import StepSpec

# Keras' own that watch one number, and do nothing where there is no such number.
_WATCHING = (keras.callbacks.EarlyStopping, keras.callbacks.ModelCheckpoint, keras.callbacks.ReduceLROnPlateau)


def callbacks_of_fit(
    given: Any,
    *,
    step: StepSpec,
    searching: bool,
    steps_per_epoch: int | None,
    losses: Sequence[str],
    progress: str,
    once: bool | None = None,
) -> Any:
    """Puts before the callbacks of a caller those that training needs: `DataEnd`, `Phases` and `EpochSteps`.

    Those that wait for a number to improve are shown none of a search, see `AfterSearch`.

    Args:
        given: As `keras.Model.fit` takes them: a `CallbackList`, a callback, a list of them (and of `None`), or `None`.
        step: What a step does, and so which phases there are.
        searching: Whether structures are still searched.
        steps_per_epoch: Steps that an epoch is to have; `None` for as many as there are batches.
        losses: The names of the losses that an epoch ends with.
        progress: The name of what it says beside them, of which more is better.
        once: Whether the data can be read once only; `None` for data that are known to last.

    Returns:
        A list of callbacks, or the `CallbackList` that was given where nothing of it changes. `EpochSteps` and
        `DataEnd` are not added to such a list, nor the former where the caller brings one.

    Raises:
        ValueError: If structures are to be searched and `MaskSearch` is not among the callbacks, one of them is none,
            or one of Keras' own would do nothing, or something else than a family needs.
    """
    is_made = isinstance(given, keras.callbacks.CallbackList)
    callbacks = [each for each in (given.callbacks if is_made else keras.tree.flatten(given)) if each is not None]
    for each in callbacks:
        _check_kind(each)
        if _watches(each) and not _may_add_numbers(callbacks):
            _check_watched(each, losses=losses, progress=progress)
    if searching and not any(isinstance(each, MaskSearch) for each in callbacks):
        raise ValueError(
            "Expected MaskSearch among the callbacks of fit, or a pool given to freeze before it. Received: "
            "neither, so no structure would ever be cut out."
        )
    if searching or step.finetune_structures:
        callbacks = [after_search(each) if _watches(each) else each for each in callbacks]
        is_made = is_made and not any(isinstance(each, AfterSearch) for each in callbacks)
    added: list[Any] = [] if once is None or is_made else [DataEnd(once=once)]
    if step.head_epochs or step.finetune_structures:
        added.append(Phases())
    if not (steps_per_epoch is None or is_made or any(isinstance(each, EpochSteps) for each in callbacks)):
        added.append(EpochSteps(steps_per_epoch))
    return given if is_made and not added else [*added, *callbacks]


def _check_kind(callback: Any) -> None:
    if isinstance(callback, type) or not hasattr(callback, "set_model"):
        raise ValueError(f"Expected callbacks of Keras, made by calling their class. Received: {callback!r:.80}.")
    if isinstance(callback, keras.callbacks.BackupAndRestore):
        raise ValueError(
            "Expected no BackupAndRestore: it keeps weights and not the structures, so training would go on as another "
            "one; ofar train goes on where it stopped. Received: BackupAndRestore."
        )
    if isinstance(callback, keras.callbacks.ModelCheckpoint) and not callback.save_weights_only:
        raise ValueError(
            "Expected ModelCheckpoint(save_weights_only=True): a family is more than one network, and save(folder) "
            "keeps it when it is trained. Received: save_weights_only=False."
        )


def _watches(callback: Any) -> bool:
    return isinstance(callback, _WATCHING) and getattr(callback, "save_best_only", True)


def _may_add_numbers(callbacks: Sequence[Any]) -> bool:
    """Whether some callback is the caller's own, which may add numbers for others to watch."""
    ours = ("keras.", "ofar_tf.")
    own = keras.callbacks.LambdaCallback
    return any(isinstance(each, own) or not type(each).__module__.startswith(ours) for each in callbacks)


def _check_watched(callback: Any, *, losses: Sequence[str], progress: str) -> None:
    """Refuses a number that there is not; Keras would warn of it after every epoch and never stop."""
    kind = type(callback).__name__
    if callback.monitor not in (*losses, progress):
        raise ValueError(
            f"Expected {kind} to monitor one of {', '.join(losses)} and {progress}: fit validates nothing. "
            f"Received: monitor={callback.monitor!r}."
        )
    if callback.mode == "auto":
        # Keras knows which way is better for what `compile` was given only, and says so after the first epoch.
        callback.mode = "max" if callback.monitor == progress else "min"
