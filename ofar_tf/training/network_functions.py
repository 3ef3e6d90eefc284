"""One forward and backward pass of one network of the pool, as traced functions on the supernet's variables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from ofar_tf.data import resize_batch
from ofar_tf.models.functional_graph import flat_layers
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.fused_batch_norm import FusedBatchNormalization
from ofar_tf.pruning.slicing import Slices, mask_tensor
from ofar_tf.pruning.subnet import build_subnet
from ofar_tf.search.pool_weights import PoolWeights
from ofar_tf.training.distillation import Loss

# Takes the position of a weight, and its value or gradient.
View = Callable[[int, Any], tf.Tensor]
# Takes the number of a structure, or `None` where networks are masked, and its gradients.
Collect = Callable[[int | None, Sequence[tf.Tensor]], Sequence[tf.Tensor]]


@dataclass(frozen=True)
class NetworkPass:
    """What one network contributes to a step.

    Attributes:
        loss: Scalar float32.
        probabilities: float32 `[B, K]`, what another network may learn from.
        gradients: One tensor per trainable variable of the supernet, of its full shape, times the loss scale; or what
            was made of them.
    """

    loss: tf.Tensor
    probabilities: tf.Tensor
    gradients: Sequence[tf.Tensor]


class NetworkFunctions:
    """Runs any network of the sandwich by its index.

    Two ways give the same numbers. *Masked*: one trace of the whole supernet serves every mask, whatever the gates say;
    right while masks change every epoch. *Sliced*: one trace per structure, on compact weights gathered from the
    structure's own or the supernet's; compute falls with the MACs. Resolution is a tensor in both, so it never causes a
    trace, but with XLA, which compiles each network for each resolution.

    Args:
        supernet: The functional model whose variables are trained.
        groups: Its channel groups.
        loss: Loss of (target probabilities, logits, whether the target are labels).
        seed: Seed of dropout and other random layers.
        dtype_policy: Number formats of the passes, see `build_subnet`. Losses and gradients are float32.
        compiled_for: The resolutions that XLA compiles networks for; none to leave it to TensorFlow.
    """

    def __init__(
        self,
        supernet: keras.Model,
        groups: ChannelGroups,
        *,
        loss: Loss,
        seed: int = 0,
        dtype_policy: str = "float32",
        compiled_for: Sequence[int] = (),
    ):
        self._supernet = supernet
        self._groups = groups
        self._loss = loss
        self._seed = seed
        self._dtype_policy = dtype_policy
        self._compiled_for = tuple(compiled_for)
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
        entries = self._groups.weights

        def run(index: Any, *arguments: Any) -> tuple[Any, ...]:
            gate = tf.convert_to_tensor(gates)[index]

            def masked(weight: int, value: Any) -> tf.Tensor:
                return mask_tensor(value, entries[weight], gate)

            # Masking is its own adjoint.
            return self._pass(network, self._supernet.weights, masked, masked, *arguments)

        self._gates, self._branches = gates, [self._traced(run, tf.TensorSpec([], tf.int32))]

    def use_slices(self, masks: Sequence[ChannelMask], weights: PoolWeights | None = None) -> None:
        """Runs compact networks, one traced function per structure. Those that ran before keep their trace.

        Args:
            masks: The structures' masks, in the order of their indices.
            weights: The weights that each is cut out of, in that order; the supernet's own by default.
        """
        cut_from = [weights.of(index) if weights else self._supernet.weights for index in range(len(masks))]
        keys = [(mask, *map(id, variables)) for mask, variables in zip(masks, cut_from, strict=True)]
        known = self._slices
        self._slices = {
            key: known.get(key) or self._traced(self._sliced(mask, variables))
            for key, mask, variables in zip(keys, masks, cut_from, strict=True)
        }
        self._gates, self._branches = None, [self._slices[key] for key in keys]

    def _network(self, mask: ChannelMask) -> keras.Model:
        network = build_subnet(self._supernet, self._groups, mask, trainable_copy=True, dtype_policy=self._dtype_policy)
        for norm in _fused_norms(network):
            norm.reports_statistics = False
        return network

    def _traced(self, run: Callable[..., Any], *index: tf.TensorSpec) -> Any:
        if self._compiled_for:
            return tf.function(run, jit_compile=True, autograph=False)
        # Or else the largest resolution, which is known when a step is traced, would have a trace of its own.
        images = tf.TensorSpec([None, None, None, self._supernet.input_shape[-1]], tf.float32)
        target = tf.TensorSpec([None, self._supernet.output_shape[-1]], tf.float32)
        from_labels, loss_scale = tf.TensorSpec([], tf.bool), tf.TensorSpec([], tf.float32)
        noise = tf.TensorSpec([], tf.int32)
        signature = [*index, noise, images, target, from_labels, loss_scale]
        return tf.function(run, input_signature=signature, autograph=False)

    def _sliced(self, mask: ChannelMask, weights: Sequence[Any]) -> Callable[..., tuple[Any, ...]]:
        network = self._network(mask)

        def run(*arguments: Any) -> tuple[Any, ...]:
            slices = Slices(self._groups, mask)
            return self._pass(network, weights, slices.narrow, slices.widen, *arguments)

        return run

    def run(
        self,
        index: Any,
        *,
        noise: Any,
        images: Any,
        resolution: Any,
        target: Any,
        from_labels: Any = True,
        loss_scale: Any = None,
        collect: Collect | None = None,
    ) -> NetworkPass:
        """Runs one network forward and backward.

        Args:
            index: Scalar int32, which structure; a constant selects its branch when traced.
            noise: Scalar int, feeds the seeds of dropout: the number of the step, or of the part of it.
            images: float32 `[B, R, R, 3]` at the largest resolution, 0..255.
            resolution: Scalar int32, what the images are resized to.
            target: float32 `[B, K]`, the probabilities to learn.
            from_labels: Scalar bool, whether they are the labels, and not another network's output.
            loss_scale: Scalar float32, factor of the gradients; 1 if `None`.
            collect: What to make of the gradients where it is known whose they are; nothing by default.

        Returns:
            The network's loss, probabilities and gradients.
        """
        noise = tf.cast(noise, tf.int32)
        scale = tf.convert_to_tensor(1.0 if loss_scale is None else loss_scale)
        rest = (target, tf.convert_to_tensor(from_labels), scale)
        collect = collect or (lambda structure, gradients: gradients)

        def run_at(size: Any) -> tuple[Any, ...]:
            return self._choose(index, collect, noise, resize_batch(images, size), *rest)

        if self._compiled_for and tf.get_static_value(resolution) is None:
            at = tf.argmax(tf.cast(tf.equal(self._compiled_for, resolution), tf.int32), output_type=tf.int32)
            results = tf.switch_case(at, [lambda size=size: run_at(size) for size in self._compiled_for])
        else:
            results = run_at(int(tf.get_static_value(resolution)) if self._compiled_for else resolution)
        loss, probabilities, *gradients = results
        return NetworkPass(loss, probabilities, gradients)

    def _choose(self, index: Any, collect: Collect, *arguments: Any) -> tuple[Any, ...]:
        def branch(structure: int) -> tuple[Any, ...]:
            loss, probabilities, *gradients = self._branches[structure](*arguments)
            return loss, probabilities, *collect(structure, gradients)

        if self._gates is not None:
            loss, probabilities, *gradients = self._branches[0](index, *arguments)
            return loss, probabilities, *collect(None, gradients)
        if tf.get_static_value(index) is not None:
            return branch(int(tf.get_static_value(index)))
        return tf.switch_case(index, [partial(branch, structure) for structure in range(len(self._branches))])

    def _pass(
        self,
        network: keras.Model,
        weights: Sequence[Any],
        narrow: View,
        widen: View,
        noise: Any,
        images: Any,
        target: Any,
        from_labels: Any,
        loss_scale: Any,
    ) -> tuple[Any, ...]:
        position = {id(variable): index for index, variable in enumerate(self._supernet.weights)}
        trained = [position[id(variable)] for variable in self._supernet.trainable_variables]
        narrowed = [narrow(index, weights[index].value) for index in trained]
        states = self._states(network, weights, narrow, noise)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(narrowed)
            logits, _ = network.stateless_call(narrowed, states, images, training=True)
            loss = self._loss(target, logits, from_labels)
            scaled = loss * loss_scale
        gradients = tape.gradient(scaled, narrowed, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        widened = [widen(index, gradient) for index, gradient in zip(trained, gradients, strict=True)]
        return loss, tf.nn.softmax(tf.cast(logits, tf.float32)), *widened

    def _states(self, network: keras.Model, weights: Sequence[Any], narrow: View, noise: Any) -> list[tf.Tensor]:
        """The non-trainable values: frozen weights and moving statistics, and the states of random layers.

        Keras seeds a random layer from Python's generator when it is built, which is at another moment in a resumed
        run. Here its state is a function of (seed, position of the layer, step).
        """
        index = {id(variable): weight for weight, variable in enumerate(network.weights)}
        unread = {
            id(statistics)
            for norm in _fused_norms(network)
            if not norm.reads_statistics
            for statistics in (norm.moving_mean, norm.moving_variance)
        }
        zeros = {shape: tf.zeros(shape) for shape in {variable.shape for variable in network.non_trainable_variables}}

        def state(position: int, variable: Any) -> Any:
            if id(variable) in unread:
                return zeros[variable.shape]
            if id(variable) not in index:
                return self._random_state(position, noise, variable.dtype)
            weight = index[id(variable)]
            return narrow(weight, weights[weight].value)

        return [state(position, variable) for position, variable in enumerate(network.non_trainable_variables)]

    def _random_state(self, position: int, noise: Any, dtype: str) -> tf.Tensor:
        state = tf.random.fold_in(tf.constant([self._seed, position], tf.int32), tf.cast(noise, tf.int32))
        return tf.cast(tf.bitcast(state, tf.uint32), dtype)


def _fused_norms(network: keras.Model) -> list[FusedBatchNormalization]:
    return [layer for layer in flat_layers(network) if isinstance(layer, FusedBatchNormalization)]
