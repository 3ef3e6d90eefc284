"""What a step learns: all networks of the sandwich forward and backward, each taught by another."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from ofar_tf.training.network_functions import Collect, NetworkFunctions, NetworkPass
from ofar_tf.training.weight_update import WeightUpdate


class Outcome(NamedTuple):
    """What a step, or a part of it, computed.

    Attributes:
        losses: float32 `[networks]`.
        accuracy: Scalar float32, the largest network's.
        gradients: One tensor for each variable that is trained, times the loss scale.
    """

    losses: tf.Tensor
    accuracy: tf.Tensor
    gradients: list[tf.Tensor]


@dataclass(frozen=True)
class SandwichPass:
    """Runs the networks of a step, the largest first (Section 3.3, Equations 4 to 7).

    All but the largest run in a loop that holds each structure once, so TensorFlow optimizes a structure's graph at one
    place, wherever in the sandwich it is drawn to.

    Attributes:
        functions: Runs each network.
        update: Adds up what they learn.
        distillation: Who teaches, one of `DISTILLATIONS`.
        label_smoothing: Share of each label that is spread over all classes, in [0, 1).
        at_once: How many of the networks after the largest may run at the same time. With one the step needs no more
            memory than its largest network; with two the second forward pass uses processor cores that the first
            backward pass leaves idle.

    Raises:
        ValueError: If `label_smoothing` or `at_once` is out of range.
    """

    functions: NetworkFunctions
    update: WeightUpdate
    distillation: str = "chain"
    label_smoothing: float = 0.0
    at_once: int = 1

    def __post_init__(self) -> None:
        if not 0.0 <= self.label_smoothing < 1.0:
            raise ValueError(f"Expected label_smoothing in [0, 1). Received: label_smoothing={self.label_smoothing}.")
        if self.at_once < 1:
            raise ValueError(f"Expected at least one network at once. Received: networks_at_once={self.at_once}.")

    def run(
        self,
        structures: Sequence[Any],
        resolutions: Sequence[Any],
        *,
        images: tf.Tensor,
        labels: tf.Tensor,
        noise: Any,
        loss_scale: Any,
        searching: bool,
    ) -> Outcome:
        """Runs all networks and adds up their gradients.

        Args:
            structures: Scalar int32 for each network, which structure it is.
            resolutions: Scalar int32 for each network, in pixels.
            images: float32 `[B, R, R, 3]` at the largest resolution, 0..255.
            labels: float32 `[B, K]`, probabilities.
            noise: Scalar int, feeds the seeds of dropout.
            loss_scale: Scalar float32, factor of the gradients; `None` for 1.
            searching: Whether structures are still searched.

        Returns:
            The losses, the accuracy and the sums of the gradients.
        """
        networks = len(structures)
        run = partial(self.functions.run, noise=noise, loss_scale=loss_scale)
        collect = partial(self._collect, searching=searching)
        nothing = self.update.nothing(searching=searching)
        smooth = (1.0 - self.label_smoothing) * labels + self.label_smoothing / labels.shape[-1]
        teacher = run(structures[0], images=images, resolution=resolutions[0], target=smooth, collect=collect(nothing))
        accuracy = keras.ops.mean(keras.metrics.categorical_accuracy(labels, teacher.probabilities))
        target = smooth if self.distillation == "none" else teacher.probabilities
        images, target, structures, resolutions = _after(
            teacher, images, target, tf.stack(structures), tf.stack(resolutions)
        )

        def teach(network: Any, target: Any, losses: Any, gradients: Any) -> tuple[Any, ...]:
            student = run(
                structures[network],
                images=images,
                resolution=resolutions[network],
                target=target,
                from_labels=self.distillation == "none",
                collect=collect(gradients),
            )
            following = student.probabilities if self.distillation == "chain" else target
            return network + 1, following, losses + tf.one_hot(network, networks) * student.loss, student.gradients

        _, _, losses, gradients = tf.while_loop(
            lambda network, *_: network < networks,
            teach,
            (tf.constant(1), target, tf.one_hot(0, networks) * teacher.loss, list(teacher.gradients)),
            parallel_iterations=self.at_once,
        )
        return Outcome(losses, accuracy, gradients)

    def nothing(self, networks: int, *, searching: bool) -> Outcome:
        """Returns zeros of the shapes that `run` returns for so many networks."""
        return Outcome(tf.zeros([networks]), tf.zeros([]), self.update.nothing(searching=searching))

    def _collect(self, totals: Sequence[tf.Tensor], *, searching: bool) -> Collect:
        return lambda structure, gradients: self.update.add(totals, gradients, structure=structure, searching=searching)


def _after(teacher: NetworkPass, *tensors: tf.Tensor) -> list[tf.Tensor]:
    """Returns the tensors once a network is done.

    The next one could start as soon as its target is known, while the layers of the largest still hold their outputs
    for the backward pass.
    """
    with tf.control_dependencies(list(teacher.gradients)):
        return [tf.identity(tensor) for tensor in tensors]
