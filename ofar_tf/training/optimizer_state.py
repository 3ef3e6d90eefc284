"""The optimizers, and what they remember of the weights: momenta, moving averages and the scale of the loss."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

OPTIMIZERS = ("sgd", "adamw")


def build_optimizer(kind: str, learning_rate: Any, *, momentum: float = 0.9, ema_momentum: float | None = None) -> Any:
    """Makes an optimizer that suits `OnceForAll`.

    Args:
        kind: `sgd`, with Nesterov momentum; or `adamw`: Adam, whose weight decay `decoupled_weight_decay` of the
            `StepSpec` keeps apart from the gradient.
        learning_rate: A number or a schedule.
        momentum: That of SGD, in [0, 1).
        ema_momentum: That of moving averages of the weights; None for none.

    Returns:
        A Keras optimizer.
    """
    averages = {"use_ema": ema_momentum is not None, "ema_momentum": ema_momentum or 0.0}
    if kind == "adamw":
        return keras.optimizers.Adam(learning_rate, **averages)
    return keras.optimizers.SGD(learning_rate, momentum=momentum, nesterov=momentum > 0.0, **averages)


def loss_scale(optimizer: Any) -> Any:
    """Returns the present factor of the loss, a scalar float32 variable; `None` if losses are not scaled."""
    return optimizer.dynamic_scale if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) else None


@contextmanager
def averaged_weights(optimizer: Any, variables: Sequence[Any]) -> Iterator[None]:
    """Puts moving averages in the place of the weights for as long as asked, if the optimizer keeps any.

    Args:
        optimizer: A built Keras optimizer, with `use_ema` or without. Nothing may train meanwhile.
        variables: Those that it was built for, in that order.
    """
    inner = inner_optimizer(optimizer)
    # Before the first step the averages are zeros.
    if not inner.use_ema or int(np.asarray(inner.iterations)) == 0:
        yield
        return
    present = [np.asarray(variable) for variable in variables]
    inner.finalize_variable_values(list(variables))
    try:
        yield
    finally:
        for variable, value in zip(variables, present, strict=True):
            variable.assign(value)


def restart_averages(optimizer: Any, variables: Sequence[Any], *, of: Sequence[Any] | None = None) -> None:
    """Makes the moving averages begin again with the present weights, if the optimizer keeps any.

    Args:
        optimizer: A built Keras optimizer.
        variables: Those that it was built for, in that order.
        of: Those of them whose averages begin again; all by default.
    """
    anew = {id(variable) for variable in (variables if of is None else of)}
    if inner_optimizer(optimizer).use_ema:
        averages = [slot for slot in inner_optimizer(optimizer).variables if slot.name.endswith("_average")]
        for average, variable in zip(averages, variables, strict=True):
            if id(variable) in anew:
                average.assign(variable)


def forget_momenta(optimizer: Any) -> None:
    """Sets to zero all that the optimizer remembers of earlier gradients."""
    for slot in inner_optimizer(optimizer).variables:
        if len(slot.shape) and not slot.name.endswith("_average"):
            slot.assign(np.zeros(slot.shape))


def inner_optimizer(optimizer: Any) -> Any:
    """Returns the optimizer itself, without the wrapper that scales losses."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def suitable(optimizer: Any, *, dtype_policy: str, averages: bool = False) -> Any:
    """Returns an optimizer that a sandwich can be trained with.

    Args:
        optimizer: A Keras optimizer, or its name.
        dtype_policy: What networks compute in; `mixed_float16` needs an optimizer that scales the loss.
        averages: Whether it must keep moving averages of the weights.

    Raises:
        ValueError: If there is none, it accumulates gradients itself, or keeps no averages.
    """
    if optimizer is None:
        raise ValueError("Expected an optimizer of Keras, or its name. Received: None.")
    optimizer = keras.optimizers.get(optimizer)
    if getattr(optimizer, "gradient_accumulation_steps", None):
        raise ValueError(
            "Expected gradient_accumulation in the StepSpec of OnceForAll, so that all parts of a batch train the same "
            f"networks. Received: gradient_accumulation_steps={optimizer.gradient_accumulation_steps}."
        )
    if averages and not inner_optimizer(optimizer).use_ema:
        raise ValueError(
            'Expected an optimizer with use_ema=True where rank_by="ema". '
            f"Received: {type(optimizer).__name__} with use_ema=False."
        )
    if dtype_policy == "mixed_float16" and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
