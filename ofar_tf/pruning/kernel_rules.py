"""How channels travel through layers that hold weights: kernels end some and start others, norms hold on to theirs."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from ofar_tf.models.gray_images import RGB_TO_GRAY
from ofar_tf.pruning.call import Call
from ofar_tf.pruning.elementwise_rules import is_elementwise
from ofar_tf.pruning.propagation import ANYTHING, Channels, Flow, Ids, Propagation
from ofar_tf.pruning.shape_rules import couple


def _enter(found: Propagation, call: Call) -> Ids:
    """Returns what enters a kernel."""
    activated = call.inputs[0].activated
    found.reads.append((call.ids, activated))
    if not activated:
        found.note(call.ids, f"{call.title} reads it without a non-linearity before it")
    return call.ids


def _leave(found: Propagation, call: Call, ids: Ids) -> Sequence[Flow]:
    """Lets channels leave a kernel through its bias and its activation."""
    if call.layer.use_bias:
        found.own(call.layer.bias, 0, ids)
    if not is_elementwise(call.layer.activation):
        found.block(ids, f"{call.title} has an activation that may couple channels")
        return [Channels(ids)]
    return [Channels(ids, dropped=np.asarray(call.layer.activation(tf.zeros(1))))]


def convolution(found: Propagation, call: Call) -> Sequence[Flow]:
    """Conv1D and Conv2D, grouped or not."""
    layer = call.layer
    if layer.groups == len(call.ids) > 1:  # One filter bank per channel: a depthwise convolution by another name.
        leaving = np.repeat(call.ids, layer.filters // layer.groups)
        found.feed(layer.kernel, -1, leaving)
        return _leave(found, call, leaving)
    entering, leaving = _enter(found, call), found.feed(layer.kernel, -1)
    if layer.name == RGB_TO_GRAY:
        found.fix(leaving, "it is the gray image")
    if layer.groups > 1:
        # A kernel stores one input axis for all its groups, so the same positions must live or die in every group.
        blocks, leaving_blocks = entering.reshape(layer.groups, -1), leaving.reshape(layer.groups, -1)
        for block, leaving_block in zip(blocks[1:], leaving_blocks[1:], strict=True):
            found.tie(blocks[0], block)
            found.tie(leaving_blocks[0], leaving_block)
        found.note(entering, f"{call.title} ties the channels of its groups")
        found.note(leaving, f"{call.title} ties the channels of its groups")
        entering = blocks[0]
    found.own(layer.kernel, -2, entering)
    return _leave(found, call, leaving)


def convolution_along(found: Propagation, call: Call) -> Sequence[Flow]:
    """Conv1D, on channels or along them: efficient channel attention makes gates of neighbours."""
    if call.inputs[0].axis == -1:
        return convolution(found, call)
    if not is_elementwise(call.layer.activation):
        raise NotImplementedError("has an activation that may couple channels")
    couple(found, call)
    return [Channels(call.ids, -2, dropped=ANYTHING)]


def transposed_convolution(found: Propagation, call: Call) -> Sequence[Flow]:
    """Conv2DTranspose, whose kernel names its axes the other way round."""
    found.own(call.layer.kernel, -1, _enter(found, call))
    return _leave(found, call, found.feed(call.layer.kernel, -2))


def depthwise_convolution(found: Propagation, call: Call) -> Sequence[Flow]:
    """DepthwiseConv2D."""
    found.feed(call.layer.kernel, 2, call.ids)
    return _leave(found, call, np.repeat(call.ids, call.layer.depth_multiplier))


def separable_convolution(found: Propagation, call: Call) -> Sequence[Flow]:
    """SeparableConv2D, a depthwise and a pointwise kernel in one layer."""
    found.own(call.layer.depthwise_kernel, 2, _enter(found, call))
    found.own(call.layer.pointwise_kernel, 2, np.repeat(call.ids, call.layer.depth_multiplier))
    return _leave(found, call, found.feed(call.layer.pointwise_kernel, 3))


def dense(found: Propagation, call: Call) -> Sequence[Flow]:
    """Dense, on vectors or at each position of a map."""
    found.own(call.layer.kernel, 0, _enter(found, call))
    return _leave(found, call, found.feed(call.layer.kernel, 1))


def batch_norm(found: Propagation, call: Call) -> Sequence[Flow]:
    """BatchNormalization, which ranks its channels."""
    if not call.is_channels(call.layer.axis):
        raise NotImplementedError("normalizes an axis that is not the last")
    for variable in call.layer.weights:
        found.own(variable, 0, call.ids)
    if call.layer.scale:
        found.gammas.add(id(call.layer.gamma))
    else:
        found.unscaled.add(id(call.layer.moving_mean))
    # Without a scale to mask, a dropped channel is what its statistics make of zero.
    dropped = np.zeros(1) if call.layer.scale else ANYTHING
    return [Channels(call.ids, call.inputs[0].axis, dropped=dropped)]


def group_norm(found: Propagation, call: Call) -> Sequence[Flow]:
    """GroupNormalization, which ranks its channels; those that it normalizes together live and die together.

    One of all channels stays as wide as it is, among zeros.
    """
    groups = len(call.ids) if call.layer.groups == -1 else call.layer.groups
    if not call.is_channels(call.layer.axis):
        raise NotImplementedError("normalizes an axis that is not the last")
    if groups == 1:
        couple(found, call)
        return [Channels(call.ids, call.inputs[0].axis, dropped=ANYTHING)]
    blocks = call.ids.reshape(groups, -1)
    for column in blocks.T[1:]:
        found.tie(blocks[:, 0], column)
        found.note(call.ids, f"{call.title} ties what it normalizes together")
    for variable in call.layer.weights:
        found.own(variable, 0, call.ids)
    if call.layer.scale:
        found.gammas.add(id(call.layer.gamma))
    found.state(call.layer, "groups", blocks[:, 0])
    return [Channels(call.ids, call.inputs[0].axis)]


def normalization(found: Propagation, call: Call) -> Sequence[Flow]:
    """Normalization, whose constants are not weights that could be narrowed; it sits right behind the input."""
    found.block(call.ids, f"{call.title} holds constants for it")
    return [call.inputs[0]]


def rescaling(found: Propagation, call: Call) -> Sequence[Flow]:
    """Rescaling, by numbers or by one number for each channel."""
    if np.ndim(call.layer.scale) or np.ndim(call.layer.offset):
        found.block(call.ids, f"{call.title} holds constants for it")
        return [call.inputs[0]]
    dropped = call.inputs[0].dropped * float(call.layer.scale) + float(call.layer.offset)
    return [Channels(call.ids, call.inputs[0].axis, dropped=dropped)]


def prelu(found: Propagation, call: Call) -> Sequence[Flow]:
    """PReLU; with `shared_axes` one slope may serve all channels, and then the weight holds none of them."""
    axis = call.inputs[0].axis
    if call.layer.alpha.shape[axis] != len(call.ids):
        return [call.inputs[0]]
    found.own(call.layer.alpha, axis, call.ids)
    return [Channels(call.ids, axis, dropped=np.maximum(call.inputs[0].dropped, 0.0))]
