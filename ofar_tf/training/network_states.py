"""What a network holds besides what it learns: frozen weights, moving statistics, and the states of random layers."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from ofar_tf.models.functional_graph import flat_layers
from ofar_tf.pruning.fused_batch_norm import FusedBatchNormalization

View = Callable[[Sequence[int], Sequence[Any]], list[tf.Tensor]]
"""Takes the positions of weights, and their values or gradients."""


def fused_norms(network: keras.Model) -> list[FusedBatchNormalization]:
    """Returns the BatchNorms of a network, those of nested models included."""
    return [layer for layer in flat_layers(network) if isinstance(layer, FusedBatchNormalization)]


def states_of(network: keras.Model, weights: Sequence[Any], *, narrow: View, seed: int, noise: Any) -> list[tf.Tensor]:
    """Returns the non-trainable values of a network that runs on the variables of another.

    Keras seeds a random layer from Python's generator when it is built, which is at another moment in a resumed run.
    Here its state is a function of (seed, position of the layer, step).

    Args:
        network: The network.
        weights: The variables that it is cut out of, in the order of its own weights.
        narrow: Cuts the values of some of them.
        seed: Seed of random layers.
        noise: Scalar int, the number of the step, or of the part of it.

    Returns:
        One tensor for each of its non-trainable variables.
    """
    index = {id(variable): weight for weight, variable in enumerate(network.weights)}
    unread = {
        id(statistics)
        for norm in fused_norms(network)
        if not norm.reads_statistics
        for statistics in (norm.moving_mean, norm.moving_variance)
    }
    zeros = {shape: tf.zeros(shape) for shape in {variable.shape for variable in network.non_trainable_variables}}

    held = {id(variable) for variable in network.non_trainable_variables} - unread
    read = [weight for variable, weight in index.items() if variable in held]
    narrowed = dict(zip(read, narrow(read, [weights[weight].value for weight in read]), strict=True))

    def state(position: int, variable: Any) -> Any:
        if id(variable) in unread:
            return zeros[variable.shape]
        if id(variable) in index:
            return narrowed[index[id(variable)]]
        return _random_state(seed, position, noise=noise, dtype=variable.dtype)

    return [state(position, variable) for position, variable in enumerate(network.non_trainable_variables)]


def _random_state(seed: int, position: int, *, noise: Any, dtype: str) -> tf.Tensor:
    state = tf.random.fold_in(tf.constant([seed, position], tf.int32), tf.cast(noise, tf.int32))
    return tf.cast(tf.bitcast(state, tf.uint32), dtype)
