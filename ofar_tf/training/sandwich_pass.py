"""What a step learns: all networks of the sandwich forward and backward, each taught by another."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from ofar_tf.pruning.sensitivity import GateSensitivity
from ofar_tf.tasks.task import Nest, Task
from ofar_tf.training.network_functions import Collect, NetworkFunctions, NetworkPass
from ofar_tf.training.networks_at_once import networks_that_fit
from ofar_tf.training.weight_update import WeightUpdate


class Outcome(NamedTuple):
    """What a step, or a part of it, computed.

    Attributes:
        losses: float32 `[networks]`.
        progress: Scalar float32, how well the largest network did, see `Task.progress`.
        gradients: One tensor for each variable that is trained, times the loss scale.
        sensitivity: float32 `[channels]`, how much the loss of the largest network depends on each channel, times the
            loss scale; `[0]` where nobody asks.
    """

    losses: tf.Tensor
    progress: tf.Tensor
    gradients: list[tf.Tensor]
    sensitivity: tf.Tensor


@dataclass(frozen=True)
class SandwichPass:
    """Runs the networks of a step, the largest first (Section 3.3, Equations 4 to 7).

    All but the largest run in a loop that holds each structure once, so TensorFlow optimizes a structure's graph at one
    place, wherever in the sandwich it is drawn to.

    Attributes:
        functions: Runs each network.
        task: What the networks learn.
        update: Adds up what they learn.
        distillation: Who teaches, one of `DISTILLATIONS`.
        sensitivity: Says how much the loss of the largest network depends on each channel, while structures are
            searched; `None` where nobody asks.
        at_once: How many networks may run at the same time, see `StepSpec.networks_at_once`. With one the step needs
            no more memory than its largest network; with more, one's forward pass uses processor cores that another's
            backward pass leaves idle.
    """

    functions: NetworkFunctions
    task: Task
    update: WeightUpdate
    distillation: str = "chain"
    at_once: int | None = None
    sensitivity: GateSensitivity | None = None

    def run(
        self,
        structures: Sequence[Any],
        sizes: Sequence[Any],
        *,
        images: tf.Tensor,
        targets: Nest,
        noise: Any,
        loss_scale: Any,
        searching: bool,
        students: range,
        running: Any = None,
        taught: Nest | None = None,
    ) -> Outcome:
        """Runs all networks and adds up their gradients.

        Args:
            structures: Scalar int32 for each network, which structure it is.
            sizes: int32 `[2]` for each network, the height and width that it sees.
            images: float32 `[B, H, W, 3]` at the largest size, 0..255.
            targets: Those of the images, as `Task.targets` returns them.
            noise: Scalar int, feeds the seeds of dropout.
            loss_scale: Scalar float32, factor of the gradients; `None` for 1.
            searching: Whether structures are still searched.
            students: Out of which structures all but the first are.
            running: Scalar int32, how many of the networks run; what the others lose is 0. All by default.
            taught: What the largest network learns in the place of `targets`; these by default.

        Returns:
            The losses, the progress and the sums of the gradients.
        """
        networks = len(structures)
        run = partial(self.functions.run, noise=noise, loss_scale=loss_scale)
        collect = partial(self._collect, searching=searching)
        nothing = self.update.nothing(searching=searching)
        learned = targets if taught is None else taught
        largest = run(structures[0], images=images, targets=learned, size=sizes[0], collect=collect(nothing))
        asked = self.sensitivity if searching else None
        sensitivity = asked(largest.gradients) if asked else tf.zeros([0])
        seen = largest.targets if taught is None else self.task.targets_at(targets, sizes[0])
        progress = self.task.progress(largest.lesson, seen)
        lost = tf.one_hot(0, networks) * largest.loss
        if networks == 1:
            return Outcome(lost, progress, list(largest.gradients), sensitivity)
        lesson, drawn, sizes = largest.lesson, tf.stack(structures), tf.stack(sizes)
        at_once = self.at_once or networks_that_fit(self.update.supernet, images=images.shape, networks=networks)
        if at_once < networks:
            images, targets, lesson, drawn, sizes = _after(largest, (images, targets, lesson, drawn, sizes))

        def teach(network: Any, lesson: Nest, losses: Any, gradients: Any) -> tuple[Any, ...]:
            student = run(
                drawn[network],
                among=students,
                images=images,
                targets=targets,
                size=sizes[network],
                lesson=None if self.distillation == "none" else lesson,
                collect=collect(gradients),
            )
            following = student.lesson if self.distillation == "chain" else lesson
            return network + 1, following, losses + tf.one_hot(network, networks) * student.loss, student.gradients

        variables = (tf.constant(1), lesson, lost, list(largest.gradients))
        # Networks of different sizes may give lessons of different sizes.
        shapes = keras.tree.map_structure(lambda tensor: tensor.shape, variables)
        shapes = (shapes[0], keras.tree.map_structure(lambda form: form.shape, self.functions.lesson_form), *shapes[2:])
        _, _, losses, gradients = tf.while_loop(
            lambda network, *_: network < (networks if running is None else running),
            teach,
            variables,
            shape_invariants=shapes,
            parallel_iterations=at_once,
        )
        return Outcome(losses, progress, gradients, sensitivity)

    def nothing(self, networks: int, *, searching: bool) -> Outcome:
        """Returns zeros of the shapes that `run` returns for so many networks."""
        channels = self.sensitivity.size if self.sensitivity and searching else 0
        gradients = self.update.nothing(searching=searching)
        return Outcome(tf.zeros([networks]), tf.zeros([]), gradients, tf.zeros([channels]))

    def _collect(self, totals: Sequence[tf.Tensor], *, searching: bool) -> Collect:
        return lambda structure, gradients: self.update.add(totals, gradients, structure=structure, searching=searching)


def _after(largest: NetworkPass, tensors: Nest) -> Nest:
    """Returns the tensors once a network is done.

    The next one could start as soon as its lesson is known, while the layers of the largest still hold their outputs
    for the backward pass.
    """
    with tf.control_dependencies(list(largest.gradients)):
        return keras.tree.map_structure(tf.identity, tensors)
