"""Learning rates that differ between the head of a network and everything before it, its body."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import tensorflow as tf

# Takes a trained variable and its present value; returns what the value should lose per unit of the learning rate.
Decay = Callable[[Any, Any], tf.Tensor | None]


def rate_parts(
    optimizer: Any, variables: Sequence[Any], *, body: Sequence[bool], body_rate: Any, decay: Decay | None = None
) -> None:
    """Makes a Keras optimizer scale its learning rate for some variables, and decay weights apart from gradients.

    Scaled gradients would do the same for SGD only: the steps of Adam do not depend on how large gradients are.

    Args:
        optimizer: A built Keras optimizer, without the wrapper that scales losses.
        variables: Those that it was built for, in that order.
        body: Which of them are the body's.
        body_rate: Scalar float variable, the factor of the body's rate; at 0 the body stays as it is.
        decay: What is taken from a weight at each step, times its rate (AdamW, Loshchilov and Hutter, 2019).
    """
    update = partial(type(optimizer).update_step, optimizer)

    def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
        position = optimizer._get_variable_index(variable)
        rate = tf.cast(learning_rate, variable.dtype)
        if body[position]:
            rate *= tf.cast(tf.convert_to_tensor(body_rate), variable.dtype)
        lost = decay(variables[position], variable) if decay is not None else None
        if lost is not None:
            variable.assign_sub(rate * lost)
        update(gradient, variable, rate)

    optimizer.update_step = update_step
