"""Arguments of Keras' `compile` and `fit` that would mean nothing to a family, or something else."""

from collections.abc import Mapping
from typing import Any

_NOT_OURS = ("loss", "loss_weights", "metrics", "weighted_metrics")


def check_compile(given: Mapping[str, Any], *, jit_compile: bool) -> None:
    """Refuses what `OnceForAll.compile` would have to ignore.

    Args:
        given: The arguments, the optimizer apart.
        jit_compile: Whether XLA is asked for.

    Raises:
        ValueError: If XLA, a loss or a metric is among them.
    """
    if jit_compile:
        # XLA needs the resolution when it compiles, and the step draws it when it runs.
        raise ValueError("Expected jit_compile in the StepSpec of OnceForAll. Received: compile(jit_compile=True).")
    ignored = [name for name in _NOT_OURS if given.get(name)]
    if ignored:
        raise ValueError(
            f"Expected no {ignored[0]} in compile: what networks learn and how they are judged is the task of "
            f"OnceForAll. Received: {ignored[0]}={given[ignored[0]]!r:.80}."
        )


def check_fit(given: Mapping[str, Any]) -> None:
    """Refuses what `OnceForAll.fit` cannot do as Keras does.

    Args:
        given: The arguments, the data apart.

    Raises:
        ValueError: If validation data, or class weights of another form, are among them.
    """
    if given.get("validation_data") is not None or given.get("validation_split"):
        raise ValueError(
            "Expected no validation data in fit: networks are measured after calibration, by "
            "ofar_tf.evaluate_pool. Received: validation_data or validation_split."
        )
    if not isinstance(given.get("class_weight") or {}, dict):
        raise ValueError(
            "Expected class_weight as a dict of class and weight, or class_weights of Classification "
            f"(ofar_tf.data.class_weights balances them). Received: class_weight={given['class_weight']!r}."
        )
