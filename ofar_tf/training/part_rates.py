"""Learning rates that differ between the head of a network and everything before it, its body."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from ofar_tf.models.head import head_weights
from ofar_tf.training.optimizer_state import inner_optimizer
from ofar_tf.training.step_spec import StepSpec

# Takes a trained variable and its present value; returns what the value should lose per unit of the learning rate.
Decay = Callable[[Any, Any], tf.Tensor | None]


class PartRates:
    """Scales the learning rate of the body, and lets weights decay apart from gradients, as far as that is wanted.

    Scaled gradients would do the same for SGD only: the steps of Adam do not depend on how large gradients are.

    Args:
        supernet: The network.
        spec: Says how fast the body learns, and whether weights decay apart from gradients.
        decay: What is taken from a weight at each step, times its rate (AdamW, Loshchilov and Hutter, 2019).
        originals: By the id of a variable that belongs to one structure the variable of the supernet that it stands
            for.
        outside: See `head_weights`.

    Attributes:
        head_alone: Whether the head learns alone.
    """

    def __init__(
        self,
        supernet: keras.Model,
        spec: StepSpec,
        *,
        decay: Decay,
        originals: Mapping[int, Any],
        outside: Sequence[str] = (),
    ):
        self.head_alone = False
        self._outside = outside
        self._supernet = supernet
        self._spec = spec
        self._decay = decay if spec.decoupled_weight_decay else None
        self._originals = originals
        self._body_rate = keras.Variable(spec.body_learning_rate, dtype="float32", trainable=False, name="body_rate")

    def learn_head_alone(self, alone: bool) -> None:
        """Keeps the body as it is, or lets it learn."""
        self.head_alone = alone
        self._body_rate.assign(0.0 if alone else self._spec.body_learning_rate)

    def give_to(self, optimizer: Any, variables: Sequence[Any]) -> None:
        """Makes an optimizer follow these rates, unless all that it trains learns alike.

        Args:
            optimizer: A built Keras optimizer.
            variables: Those that it was built for, in that order.
        """
        has_parts = self._spec.head_epochs > 0 or self._spec.body_learning_rate < 1.0
        if not has_parts and self._decay is None:
            return
        weights = head_weights(self._supernet, outside=self._outside) if has_parts else ()
        head = set(map(id, weights))
        in_body = [has_parts and id(self._originals.get(id(each), each)) not in head for each in variables]
        inner = inner_optimizer(optimizer)
        update = partial(type(inner).update_step, inner)

        def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
            position = inner._get_variable_index(variable)
            rate = tf.cast(learning_rate, variable.dtype)
            if in_body[position]:
                rate *= tf.cast(tf.convert_to_tensor(self._body_rate), variable.dtype)
            lost = self._decay(variables[position], variable) if self._decay is not None else None
            if lost is not None:
                variable.assign_sub(rate * lost)
            update(gradient, variable, rate)

        inner.update_step = update_step
