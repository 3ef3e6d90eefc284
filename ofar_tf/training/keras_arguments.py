"""Arguments of Keras' `compile` and `fit` that would mean nothing to a family, or something else."""

from collections.abc import Mapping
from typing import Any

import numpy as np

_NOT_OURS = ("loss", "loss_weights", "metrics", "weighted_metrics")
# Where Keras takes 0 for its default, or trains nothing and says nothing.
_POSITIVE = ("epochs", "batch_size", "steps_per_epoch")


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


def check_fit(given: Mapping[str, Any], *, classes: int | None = None) -> None:
    """Refuses what `OnceForAll.fit` cannot do as Keras does.

    Args:
        given: The arguments, the data apart.
        classes: How many classes there are, if the task tells classes apart.

    Raises:
        ValueError: If validation data, class weights of another form or of no class, or numbers of epochs, images or
            steps below 1 are among them.
    """
    for name in _POSITIVE:
        value = given.get(name)
        if value is not None and not (isinstance(value, (int, np.integer)) and value >= 1):
            raise ValueError(f"Expected {name} of at least 1. Received: {name}={value!r:.80}.")
    if given.get("validation_data") is not None or given.get("validation_split"):
        raise ValueError(
            "Expected no validation data in fit: networks are measured after calibration, by "
            "ofar_tf.evaluate_pool. Received: validation_data or validation_split."
        )
    weights = given.get("class_weight") or {}
    if not isinstance(weights, dict):
        raise ValueError(
            "Expected class_weight as a dict of class and weight, or class_weights of Classification "
            f"(ofar_tf.data.class_weights balances them). Received: class_weight={given['class_weight']!r}."
        )
    for label, weight in weights.items():
        if classes is not None and not (isinstance(label, (int, np.integer)) and 0 <= label < classes):
            raise ValueError(
                f"Expected class_weight for labels from 0 to {classes - 1}. Received: a weight for {label!r:.80}."
            )
        if not (isinstance(weight, (int, float, np.number)) and 0 <= weight < float("inf")):
            raise ValueError(f"Expected class weights of 0 or more. Received: {weight!r:.80} for {label!r:.80}.")
