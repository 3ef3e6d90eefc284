"""From the gradients of a step's networks to one update of the weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from ofar_tf.search.pool_weights import PoolWeights
from ofar_tf.training.optimizer_state import loss_scale
from ofar_tf.training.regularization import Regularization


@dataclass(frozen=True)
class WeightUpdate:
    """Sums the networks' gradients (DESIGN D5), clips, penalizes and applies them.

    While structures are searched the supernet's weights are trained; after it those that the pool runs on.

    Attributes:
        supernet: The functional model.
        weights: The weights of the structures.
        regularization: The penalties.
        clip_norm: Largest norm of the summed gradient, before penalties; none by default. Structures that share nothing
            are clipped each for itself.
    """

    supernet: keras.Model
    weights: PoolWeights
    regularization: Regularization
    clip_norm: float | None = None

    def variables(self, *, searching: bool) -> list[Any]:
        """Returns what is trained now."""
        return [variable for together in self._sets(searching) for variable in together]

    def _sets(self, searching: bool) -> list[list[Any]]:
        return [self.supernet.trainable_variables] if searching else self.weights.trained_together

    def nothing(self, *, searching: bool) -> list[tf.Tensor]:
        """Returns a gradient of zero for each of `variables`."""
        return [tf.zeros(variable.shape) for variable in self.variables(searching=searching)]

    def add(
        self, totals: Sequence[tf.Tensor], gradients: Sequence[tf.Tensor], *, structure: int | None, searching: bool
    ) -> list[tf.Tensor]:
        """Adds what one network contributes.

        Args:
            totals: One tensor for each of `variables`.
            gradients: One tensor per trainable variable of the supernet.
            structure: Which structure the network is; `None` if it runs on the supernet's weights whatever it is.
            searching: Whether structures are still searched.

        Returns:
            The new totals.
        """
        places = {id(variable): place for place, variable in enumerate(self.variables(searching=searching))}
        if searching or structure is None:
            trained = self.supernet.trainable_variables
        else:
            trained = self.weights.trained_by(structure)
        added = list(totals)
        for variable, gradient in zip(trained, gradients, strict=True):
            added[places[id(variable)]] += gradient
        return added

    def apply(self, optimizer: Any, gradients: Sequence[Any], *, searching: bool) -> None:
        """Updates the weights once.

        Several replicas take the mean of their gradients, that of the mean loss over all images, as one device would:
        the optimizer sums what it is given over the replicas, so each gives it a share.

        Args:
            optimizer: A built Keras optimizer.
            gradients: What `add` returned, times the optimizer's loss scale.
            searching: Whether structures are still searched.
        """
        variables, scale = self.variables(searching=searching), loss_scale(optimizer)
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync > 1 and (scale is not None or self.clip_norm is not None):
            # Norms and overflows are those of the whole gradient; Keras would look at each replica's own.
            gradients = context.all_reduce(tf.distribute.ReduceOp.MEAN, list(gradients))
        if scale is not None:
            gradients = [gradient / scale for gradient in gradients]
        gradients = self._clip(gradients, searching=searching)
        gradients = self.regularization.add_to(gradients, variables, searching=searching)
        if scale is not None:
            # The optimizer itself looks for overflows, and divides once more.
            gradients = [gradient * scale for gradient in gradients]
        if context.num_replicas_in_sync > 1:
            gradients = [gradient / context.num_replicas_in_sync for gradient in gradients]
        optimizer.apply(gradients, variables)

    def _clip(self, gradients: Sequence[Any], *, searching: bool) -> list[Any]:
        if self.clip_norm is None:
            return list(gradients)
        clipped, rest = [], list(gradients)
        for together in self._sets(searching):
            clipped += tf.clip_by_global_norm(rest[: len(together)], self.clip_norm)[0]
            rest = rest[len(together) :]
        return clipped
