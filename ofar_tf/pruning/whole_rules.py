"""Layers that stay as wide as they are between kernels that need not be: norms and gates over all channels.

What a narrow network has is put among zeros where the others were, and taken out again. That gives what the masked
network gives, whose dropped channels are these zeros, if the layer has values and slopes there.
"""

from collections.abc import Sequence

import numpy as np

from ofar_tf.models.functional_graph import takes_training
from ofar_tf.models.layer_copy import copy_of
from ofar_tf.pruning.call import Call
from ofar_tf.pruning.propagation import ANYTHING, Channels, Flow, Propagation
from ofar_tf.pruning.shape_rules import couple
from ofar_tf.pruning.trials import (
    fill,
    finite_values,
    has_one_tensor,
    numbers_for,
    outside_of_the_trace,
    random_weights,
)


def layer_norm(found: Propagation, call: Call) -> Sequence[Flow]:
    """LayerNormalization over the channels, alone or with positions."""
    if not any(call.is_channels(int(axis)) for axis in np.atleast_1d(call.layer.axis)):
        raise NotImplementedError("normalizes an axis that is not the last")
    return _among_zeros(found, call)


def whole(found: Propagation, call: Call) -> Sequence[Flow]:
    """A layer of the user's that gives as many channels as it takes."""
    if not has_one_tensor(call) or call.shape[-1] != len(call.ids) or len(call.ids) < 2:
        raise NotImplementedError("is unknown to the library")
    is_finite = outside_of_the_trace(lambda: _is_finite(call))
    if is_finite is None:
        raise NotImplementedError("is unknown to the library")
    if not is_finite:
        raise NotImplementedError("has no finite value or slope at zero, which channels are once pruned")
    return _among_zeros(found, call)


def _among_zeros(found: Propagation, call: Call) -> Sequence[Flow]:
    couple(found, call)
    return [Channels(call.ids, dropped=ANYTHING)]


def _is_finite(call: Call) -> bool:
    layer, values = copy_of(call.layer), numbers_for(call.inputs[0])
    layer(values)
    fill(layer, random_weights(layer))
    values[..., ::2] = 0.0

    def runs(told: dict[str, bool]) -> bool:
        return finite_values(lambda tensors: layer(tensors[0], **told), [values]) is not None

    return all(map(runs, [{"training": True}, {"training": False}] if takes_training(layer) else [{}]))
