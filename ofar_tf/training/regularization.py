"""Which weights are penalized, and how, once per step and not once per network."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from ofar_tf.models.functional_graph import flat_layers
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.slicing import gates_of, mask_tensor

DECAYED_NETWORKS = ("all", "largest")
_DECAYED = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv2DTranspose, keras.layers.Dense)


class Regularization:
    """L2 on kernels, always, and L1 on the gammas that rank channels, while structures are searched.

    Layers that bring a regularizer of their own (`kernel_regularizer`) are penalized by it as well.

    Depthwise kernels, BatchNorm and biases are not decayed, as in US-Net's and MutualNet's recipes. Both penalties are
    gradients, not losses: the decay passes through the momentum as in those recipes, unlike Keras' own decoupled one.

    Args:
        supernet: The functional model.
        groups: Its channel groups.
        weight_decay: L2 coefficient, at least 0.
        gamma_l1: L1 coefficient, at least 0 (Network Slimming, DESIGN D14).
        decoupled: Whether weights decay apart from gradients: then `add_to` leaves that to who asks for `decay_of`.
        originals: Maps the id of a variable that stands for one of the supernet's to that one: it is penalized alike.
    """

    def __init__(
        self,
        supernet: keras.Model,
        groups: ChannelGroups,
        *,
        weight_decay: float,
        gamma_l1: float,
        decoupled: bool = False,
        originals: Mapping[int, Any] | None = None,
    ):
        kernels = {id(kernel) for layer in flat_layers(supernet) for kernel in _decayed_kernels(layer)}
        gammas = {id(supernet.weights[index]) for group in groups.groups for index in group.gammas}
        originals = originals or {}
        self._decay = dict.fromkeys(_with_copies(kernels, originals), weight_decay)
        self._sparsity = dict.fromkeys(_with_copies(gammas, originals), gamma_l1)
        own = {id(weight): weight.regularizer for weight in supernet.trainable_variables if weight.regularizer}
        copies = {copy: own[id(original)] for copy, original in originals.items() if id(original) in own}
        self._regularizers = {**own, **copies}
        self._groups = groups
        self._decoupled = decoupled
        self._largest: dict[int, int] | None = None
        self._gates: Any = None

    def decay_only(self, variables: Sequence[Any], mask: ChannelMask) -> None:
        """Lets nothing decay from now on but what one structure keeps, as BigNAS does with its largest network.

        Args:
            variables: The variables that the structure is cut out of, in the order of the supernet's weights.
            mask: The structure's mask.
        """
        self._largest = {id(variable): position for position, variable in enumerate(variables)}
        self._gates = gates_of([mask])[0]

    def add_to(self, gradients: Sequence[Any], variables: Sequence[Any], *, searching: bool) -> list[Any]:
        """Adds the gradients of the penalties.

        Args:
            gradients: One tensor per variable.
            variables: Trainable variables of the supernet, or what stands for them.
            searching: Whether gammas are being ranked; if not, the L1 penalty rests.

        Returns:
            One tensor per variable.
        """
        added = []
        for gradient, variable in zip(gradients, variables, strict=True):
            sparsity = self._sparsity.get(id(variable), 0.0)
            decay = None if self._decoupled else self.decay_of(variable, variable)
            if decay is not None:
                gradient += decay
            if sparsity and searching:
                gradient += sparsity * tf.sign(tf.convert_to_tensor(variable))
            if id(variable) in self._regularizers:
                gradient += _gradient_of(self._regularizers[id(variable)], variable)
            added.append(gradient)
        return added

    def decay_of(self, variable: Any, value: Any) -> tf.Tensor | None:
        """Returns the gradient of the L2 penalty, with zeros where a kernel does not decay.

        Args:
            variable: A trainable variable of the supernet, or what stands for it.
            value: Its value.

        Returns:
            A tensor of its shape; None where nothing of it decays.
        """
        decay = self._decay.get(id(variable), 0.0)
        if not decay or (self._largest is not None and id(variable) not in self._largest):
            return None
        if self._largest is None:
            return decay * tf.convert_to_tensor(value)
        entry = self._groups.weights[self._largest[id(variable)]]
        return decay * mask_tensor(value, entry, tf.constant(self._gates))


def _gradient_of(regularizer: Any, variable: Any) -> tf.Tensor:
    value = tf.convert_to_tensor(variable)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(value)
        penalty = regularizer(value)
    return tape.gradient(penalty, value, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _with_copies(keys: set[int], originals: Mapping[int, Any]) -> set[int]:
    return keys | {copy for copy, original in originals.items() if id(original) in keys}


def _decayed_kernels(layer: Any) -> list[Any]:
    if isinstance(layer, keras.layers.SeparableConv2D):
        return [layer.pointwise_kernel]
    return [layer.kernel] if isinstance(layer, _DECAYED) else []
