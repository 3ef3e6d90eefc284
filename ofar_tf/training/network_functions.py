"""One forward and backward pass of one network of the pool, as traced functions on the supernet's variables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from ofar_tf.data import resize_batch
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.slicing import Slices, mask_tensor
from ofar_tf.pruning.subnet import build_subnet
from ofar_tf.search.pool_weights import PoolWeights
from ofar_tf.tasks.task import Nest, Task
from ofar_tf.text.size import Size
from ofar_tf.training.network_states import View, fused_norms, states_of
from ofar_tf.training.recomputation import Forward, holding, recomputing
from ofar_tf.training.step_spec import StepSpec

# Takes the number of a structure, or `None` where networks are masked, and its gradients.
Collect = Callable[[int | None, Sequence[tf.Tensor]], Sequence[tf.Tensor]]


@dataclass(frozen=True)
class NetworkPass:
    """What one network contributes to a step.

    Attributes:
        loss: Scalar float32.
        lesson: What another network may learn from it, see `Task.lesson`.
        gradients: One tensor per trainable variable of the supernet, of its full shape, times the loss scale; or what
            was made of them.
        targets: What it learned from the labels, at its size (`Task.targets_at`).
    """

    loss: tf.Tensor
    lesson: Nest
    gradients: Sequence[tf.Tensor]
    targets: Nest


class NetworkFunctions:
    """Runs any network of the sandwich by its index.

    Two ways give the same numbers. *Masked*: one trace of the whole supernet serves every mask, whatever the gates say;
    right while masks change every epoch. *Sliced*: one trace per structure, on compact weights gathered from the
    structure's own or the supernet's; compute falls with the MACs. Resolution is a tensor in both, so it never causes a
    trace, but with XLA, which compiles each network for each resolution.

    Args:
        supernet: The functional model whose variables are trained.
        groups: Its channel groups.
        task: What the networks learn.
        seed: Seed of dropout and other random layers.
        spec: In what numbers passes compute, whether XLA compiles them, and whose activations are held. Losses and
            gradients are float32.
        sizes: What the networks may see. Only XLA, which compiles for each, and `recomputation` need to know.
    """

    def __init__(
        self,
        supernet: keras.Model,
        groups: ChannelGroups,
        *,
        task: Task,
        seed: int = 0,
        spec: StepSpec | None = None,
        sizes: Sequence[Size] = (),
    ):
        self._supernet = supernet
        self._groups = groups
        self._task = task
        self._seed = seed
        self._spec = spec or StepSpec()
        self._sizes = tuple(sizes)
        self._compiled_for = self._sizes if self._spec.jit_compile else ()
        self._lesson_form: Nest = None
        self._branches: list[Any] = []
        self._slices: dict[Any, Any] = {}
        self._gates: Any = None
        # Variables that symbolic runs of a model left without a value are made at the end of the next stateless scope.
        # Here and now: inside the first traced network they would cost it a second trace.
        with keras.StatelessScope():
            pass

    def use_gates(self, gates: Any) -> None:
        """Runs masked networks, all of them on the supernet's weights.

        Args:
            gates: float variable `[structures, channels + 1]`, read at every run; see `mask_tensor`.
        """
        network = self._network(ChannelMask.full(self._groups))
        forward = self._forward(network, checkpointed=self._spec.gradient_checkpointing != "none")
        entries = self._groups.weights

        def run(index: Any, *arguments: Any) -> tuple[Any, ...]:
            gate = tf.convert_to_tensor(gates)[index]

            def masked(weights: Sequence[int], values: Sequence[Any]) -> list[tf.Tensor]:
                return [mask_tensor(value, entries[each], gate) for each, value in zip(weights, values, strict=True)]

            # Masking is its own adjoint.
            return self._pass(network, forward, self._supernet.weights, masked, masked, *arguments)

        self._gates, self._branches = gates, [self._traced(run)]

    def use_slices(self, masks: Sequence[ChannelMask], weights: PoolWeights | None = None) -> None:
        """Runs compact networks, one traced function per structure. Those that ran before keep their trace.

        Args:
            masks: The structures' masks, in the order of their indices.
            weights: The weights that each is cut out of, in that order; the supernet's own by default.
        """
        cut_from = [weights.of(index) if weights else self._supernet.weights for index in range(len(masks))]
        whose = self._spec.gradient_checkpointing
        checkpointed = [whose == "all" or (whose == "largest" and index == 0) for index in range(len(masks))]
        made_of = list(zip(masks, cut_from, checkpointed, strict=True))
        keys = [(mask, twice, *map(id, variables)) for mask, variables, twice in made_of]
        known = self._slices
        self._slices = {
            key: known.get(key) or self._traced(self._sliced(mask, variables, checkpointed=twice))
            for key, (mask, variables, twice) in zip(keys, made_of, strict=True)
        }
        self._gates, self._branches = None, [self._slices[key] for key in keys]

    @property
    def traced(self) -> list[Callable[..., Any]]:
        """The functions that run the networks now: one for each structure, or one for all where they are masked."""
        return list(self._branches)

    def _network(self, mask: ChannelMask) -> keras.Model:
        network = build_subnet(
            self._supernet, self._groups, mask, trainable_copy=True, dtype_policy=self._spec.dtype_policy
        )
        for norm in fused_norms(network):
            norm.reports_statistics = False
        return network

    def _forward(self, network: keras.Model, *, checkpointed: bool) -> Forward:
        return recomputing(network, size=max(self._sizes)) if checkpointed else holding(network)

    def _traced(self, run: Callable[..., Any]) -> Callable[..., Any]:
        if self._compiled_for:
            return tf.function(run, jit_compile=True, autograph=False)
        traced: list[Any] = []

        def call(*arguments: Any) -> Any:
            if not traced:
                # The largest size is known when a step is traced, and would have a trace of its own.
                signature = keras.tree.map_structure(_any_size, arguments)
                traced.append(tf.function(run, input_signature=signature, autograph=False))
            return traced[0](*arguments)

        return call

    def _sliced(
        self, mask: ChannelMask, weights: Sequence[Any], *, checkpointed: bool
    ) -> Callable[..., tuple[Any, ...]]:
        network = self._network(mask)
        forward = self._forward(network, checkpointed=checkpointed)

        def run(*arguments: Any) -> tuple[Any, ...]:
            slices = Slices(self._groups, mask)
            return self._pass(network, forward, weights, slices.narrow, slices.widen, *arguments)

        return run

    def run(
        self,
        index: Any,
        *,
        noise: Any,
        images: Any,
        targets: Nest,
        size: Any,
        lesson: Nest = None,
        loss_scale: Any = None,
        collect: Collect | None = None,
        among: range | None = None,
    ) -> NetworkPass:
        """Runs one network forward and backward.

        Args:
            index: Scalar int32, which structure; a constant selects its branch when traced.
            noise: Scalar int, feeds the seeds of dropout: the number of the step, or of the part of it.
            images: float32 `[B, H, W, 3]` at the largest size, 0..255.
            targets: Those of the images, as `Task.targets` returns them.
            size: int32 `[2]`, the height and width that the images are resized to.
            lesson: What its teacher's `NetworkPass` holds; `None` to learn from the targets.
            loss_scale: Scalar float32, factor of the gradients; 1 if `None`.
            collect: What to make of the gradients where it is known whose they are; nothing by default.
            among: Out of which structures `index` is, all by default: TensorFlow optimizes a graph for each.

        Returns:
            The network's loss, lesson, gradients and targets.
        """
        noise = tf.cast(noise, tf.int32)
        scale = tf.convert_to_tensor(1.0 if loss_scale is None else loss_scale)
        from_labels = tf.constant(lesson is None)
        learned = self.no_lesson(images) if lesson is None else lesson
        collect = collect or (lambda structure, gradients: gradients)

        def run_at(size: Any) -> tuple[Any, ...]:
            seen = self._task.targets_at(targets, size)
            viewed = resize_batch(images, size)
            return seen, *self._choose(index, among, collect, noise, viewed, seen, learned, from_labels, scale)

        known = tf.get_static_value(size) if self._compiled_for else None
        if not self._compiled_for:
            results = run_at(size)
        elif known is not None:
            results = run_at(Size(*map(int, known)))
        else:
            results = tf.switch_case(self._number_of(size), [partial(run_at, each) for each in self._compiled_for])
        seen, loss, lesson, *gradients = results
        return NetworkPass(loss, lesson, gradients, seen)

    def _number_of(self, size: Any) -> tf.Tensor:
        sizes = tf.constant([(each.height, each.width) for each in self._compiled_for])
        return tf.argmax(tf.cast(tf.reduce_all(sizes == size, axis=1), tf.int32), output_type=tf.int32)

    def no_lesson(self, images: Any) -> Nest:
        """Returns a lesson that says nothing, in the form of one: what networks that learn from labels are given."""
        batch = tf.shape(images)[0]

        def blank(form: tf.TensorSpec) -> tf.Tensor:
            return tf.zeros([batch, *(size or 1 for size in form.shape[1:])], form.dtype)

        return keras.tree.map_structure(blank, self.lesson_form)

    @property
    def lesson_form(self) -> Nest:
        """The form of the networks' lessons, as `tf.TensorSpec`s: `None` is what differs from size to size."""
        if self._lesson_form is None:
            outputs = keras.tree.map_structure(
                lambda output: tf.TensorSpec(output.shape, output.dtype), self._supernet.output
            )
            size = tf.TensorSpec([2], tf.int32)
            lesson = tf.function(self._task.lesson, autograph=False).get_concrete_function(outputs, size)
            self._lesson_form = keras.tree.map_structure(_any_size, lesson.structured_outputs)
        return self._lesson_form

    def _choose(self, index: Any, among: range | None, collect: Collect, *arguments: Any) -> tuple[Any, ...]:
        def branch(structure: int) -> tuple[Any, ...]:
            loss, lesson, *gradients = self._branches[structure](*arguments)
            return loss, lesson, *collect(structure, gradients)

        if self._gates is not None:
            loss, lesson, *gradients = self._branches[0](index, *arguments)
            return loss, lesson, *collect(None, gradients)
        if tf.get_static_value(index) is not None:
            return branch(int(tf.get_static_value(index)))
        among = among or range(len(self._branches))
        return tf.switch_case(index - among.start, [partial(branch, structure) for structure in among])

    def _pass(
        self,
        network: keras.Model,
        forward: Forward,
        weights: Sequence[Any],
        narrow: View,
        widen: View,
        noise: Any,
        images: Any,
        targets: Nest,
        lesson: Nest,
        from_labels: Any,
        loss_scale: Any,
    ) -> tuple[Any, ...]:
        position = {id(variable): index for index, variable in enumerate(self._supernet.weights)}
        trained = [position[id(variable)] for variable in self._supernet.trainable_variables]
        narrowed = narrow(trained, [weights[index].value for index in trained])
        states = states_of(network, weights, narrow=narrow, seed=self._seed, noise=noise)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(narrowed)
            images.set_shape(network.inputs[0].shape)  # Some random layers must know the size.
            outputs = forward(narrowed, states, images)
            for output, known in zip(keras.tree.flatten(outputs), network.outputs, strict=True):
                output.set_shape(known.shape)  # What flattens a map of any size cannot tell how much comes out.
            loss = self._task.loss(outputs, targets, lesson, from_labels=from_labels)
            scaled = loss * loss_scale
        gradients = tape.gradient(scaled, narrowed, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return loss, self._task.lesson(outputs, tf.shape(images)[1:3]), *widen(trained, gradients)


def _any_size(tensor: Any) -> tf.TensorSpec:
    """Describes a tensor by its rank and its last axis: batch, height and width may be any.

    A vector has one entry per image. Sizes, as pairs of numbers, do not come here.
    """
    shape = tensor.shape
    if shape.rank < 2:
        return tf.TensorSpec([None] * shape.rank, tensor.dtype)
    return tf.TensorSpec([*[None] * (shape.rank - 1), shape[-1]], tensor.dtype)
