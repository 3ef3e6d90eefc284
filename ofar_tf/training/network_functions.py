"""One forward and backward pass of one network of the pool, as traced functions on the supernet's variables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from ofar_tf.data import resize_batch
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.slicing import kept_indices, mask_tensor, slice_tensor
from ofar_tf.pruning.subnet import build_subnet

Divergence = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
Narrow = Callable[[int, Any], tf.Tensor]


@dataclass(frozen=True)
class NetworkPass:
    """What one network contributes to a step.

    Attributes:
        loss: Scalar float32.
        probabilities: float32 `[B, K]`, what the next network learns from.
        gradients: One tensor per trainable variable of the supernet, of its full shape.
    """

    loss: tf.Tensor
    probabilities: tf.Tensor
    gradients: Sequence[tf.Tensor]


class NetworkFunctions:
    """Runs any network of the sandwich by its index.

    Two ways give the same numbers. *Masked*: one trace of the whole supernet serves every mask, whatever the gates say;
    right while masks change every epoch. *Sliced*: one trace per structure, on compact weights gathered from the
    supernet; compute falls with the MACs. Resolution is a tensor in both, so it never causes a trace.

    Args:
        supernet: The functional model whose variables are trained.
        groups: Its channel groups.
        divergence: Loss of (target probabilities, logits).
        seed: Seed of dropout and other random layers.
    """

    def __init__(self, supernet: keras.Model, groups: ChannelGroups, *, divergence: Divergence, seed: int = 0):
        self._supernet = supernet
        self._groups = groups
        self._divergence = divergence
        self._seed = seed
        self._branches: list[Any] = []
        self._gates: Any = None
        # Variables that symbolic runs of a model left without a value are made at the end of the next stateless scope.
        # Here and now: inside the first traced network they would cost it a second trace.
        with keras.StatelessScope():
            pass

    def use_gates(self, gates: Any) -> None:
        """Runs masked networks.

        Args:
            gates: float variable `[structures, channels + 1]`, read at every run; see `mask_tensor`.
        """
        network = build_subnet(self._supernet, self._groups, ChannelMask.full(self._groups), trainable_copy=True)
        entries = self._groups.weights

        def run(index: Any, step: Any, images: Any, resolution: Any, target: Any) -> tuple[Any, ...]:
            gate = tf.convert_to_tensor(gates)[index]
            narrow: Narrow = lambda weight, value: mask_tensor(value, entries[weight], gate)  # noqa: E731
            return self._pass(network, narrow, step, images, resolution, target)

        self._gates, self._branches = gates, [tf.function(run)]

    def use_slices(self, masks: Sequence[ChannelMask]) -> None:
        """Runs compact networks, one traced function per structure.

        Args:
            masks: The structures' masks, in the order of their indices.
        """
        self._gates, self._branches = None, [tf.function(self._sliced(mask)) for mask in masks]

    def _sliced(self, mask: ChannelMask) -> Callable[..., tuple[Any, ...]]:
        network = build_subnet(self._supernet, self._groups, mask, trainable_copy=True)
        indices = kept_indices(self._groups, mask)

        def run(step: Any, images: Any, resolution: Any, target: Any) -> tuple[Any, ...]:
            return self._pass(
                network, lambda weight, value: slice_tensor(value, indices[weight]), step, images, resolution, target
            )

        return run

    def run(self, index: Any, *, step: Any, images: Any, resolution: Any, target: Any) -> NetworkPass:
        """Runs one network forward and backward.

        Args:
            index: Scalar int32, which structure; a Python int selects the branch when traced.
            step: Scalar int, feeds the seeds of dropout.
            images: float32 `[B, R, R, 3]` at the largest resolution, 0..255.
            resolution: Scalar int32, what the images are resized to.
            target: float32 `[B, K]`, the probabilities to learn.

        Returns:
            The network's loss, probabilities and gradients.
        """
        arguments = (step, images, resolution, target)
        if self._gates is not None:
            results = self._branches[0](index, *arguments)
        elif tf.get_static_value(index) is not None:
            results = self._branches[int(tf.get_static_value(index))](*arguments)
        else:
            results = tf.switch_case(index, [lambda branch=branch: branch(*arguments) for branch in self._branches])
        loss, probabilities, *gradients = results
        return NetworkPass(loss, probabilities, gradients)

    def _pass(
        self, network: keras.Model, narrow: Narrow, step: Any, images: Any, resolution: Any, target: Any
    ) -> tuple[Any, ...]:
        variables = [variable.value for variable in self._supernet.trainable_variables]
        position = {id(variable): index for index, variable in enumerate(self._supernet.weights)}
        weights = [position[id(variable)] for variable in self._supernet.trainable_variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            narrowed = [narrow(weight, variable) for weight, variable in zip(weights, variables, strict=True)]
            logits, _ = network.stateless_call(
                narrowed, self._states(network, narrow, step), resize_batch(images, resolution), training=True
            )
            loss = self._divergence(target, logits)
        gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return loss, tf.nn.softmax(tf.cast(logits, tf.float32)), *gradients

    def _states(self, network: keras.Model, narrow: Narrow, step: Any) -> list[tf.Tensor]:
        """The non-trainable values: frozen weights and moving statistics, and the states of random layers.

        Keras seeds a random layer from Python's generator when it is built, which is at another moment in a resumed
        run. Here its state is a function of (seed, position of the layer, step).
        """
        index = {id(variable): weight for weight, variable in enumerate(network.weights)}
        return [
            narrow(index[id(variable)], self._supernet.weights[index[id(variable)]].value)
            if id(variable) in index
            else self._random_state(position, step, variable.dtype)
            for position, variable in enumerate(network.non_trainable_variables)
        ]

    def _random_state(self, position: int, step: Any, dtype: str) -> tf.Tensor:
        state = tf.random.fold_in(tf.constant([self._seed, position], tf.int32), tf.cast(step, tf.int32))
        return tf.cast(tf.bitcast(state, tf.uint32), dtype)
