"""The rule of each kind of layer and Keras operation: how channels travel through it.

The rules know nothing of pruning rates or masks. Add a layer to the library by adding one rule to `_RULES`. A rule
raises `NotImplementedError` with a few words where it cannot follow the channels; what the layer touches then stays.
"""

from typing import Any

import keras

from ofar_tf.models.functional_graph import is_stock
from ofar_tf.models.held_weights import SAME_FOR_ALL
from ofar_tf.pruning import contraction_rules as contractions
from ofar_tf.pruning import elementwise_rules as elementwise
from ofar_tf.pruning import kernel_rules as kernels
from ofar_tf.pruning import probed_rules as probed
from ofar_tf.pruning import rebuilt_rules as rebuilding
from ofar_tf.pruning import shape_rules as shapes
from ofar_tf.pruning import slice_rules as slices
from ofar_tf.pruning import tried_merges, whole_rules
from ofar_tf.pruning.call import Call, Rule, on_last_axis, unchanged
from ofar_tf.pruning.propagation import Flow, Propagation

layers = keras.layers


def rule_for(operation: Any) -> Rule | None:
    """Returns the rule for a layer or operation, `None` where the library knows none.

    A subclass of a Keras layer may compute anything, so only the class itself counts as known; all else is tried.
    """
    if probed.can_be_tried(operation):
        return probed.channelwise
    if isinstance(operation, layers.Layer):
        return _RULES.get(type(operation)) or (rebuilding.rebuilt if rebuilding.can_be_rebuilt(operation) else None)
    return _OPERATION_RULES.get(type(operation).__name__) if is_stock(operation) else None


def bends(call: Call) -> bool:
    """Returns whether a layer applies a non-linearity; one that is unknown may."""
    if _is_tried(call) and len(call.inputs) > 1:
        return not tried_merges.is_linear(call)
    if probed.can_be_tried(call.layer):
        return not probed.is_linear(call)
    if rule_for(call.layer) is None:
        return True
    if rule_for(call.layer) is rebuilding.rebuilt:
        return not rebuilding.is_affine(call)
    if rule_for(call.layer) is contractions.contraction:
        return len(call.inputs) > 1
    if type(call.layer) in (*_KERNELS, layers.Conv1D, layers.DepthwiseConv2D, layers.Activation):
        return call.layer.activation is not keras.activations.linear
    return elementwise.bends(call)


def picks_extremes(call: Call) -> bool:
    """Returns whether a layer gives the largest or smallest of several numbers, which is no linear function of them.

    So a kernel behind it reads other than linearly what comes out of the one before. It is no block of its own all the
    same: beside a sum `bends` is asked.
    """
    return type(call.layer) in _EXTREMES or type(call.layer).__name__ in _EXTREME_FUNCTIONS


def is_constant(call: Call) -> bool:
    """Returns whether an operation gives the same for all images."""
    return type(call.layer).__name__ in SAME_FOR_ALL or (bool(call.inputs) and all(t.is_constant for t in call.inputs))


def is_product(call: Call) -> bool:
    """Returns whether an operation scales one of its inputs by the others."""
    if _is_tried(call):
        return tried_merges.is_gate(call)
    return rule_for(call.layer) in (elementwise.product, contractions.contraction)


def _is_tried(call: Call) -> bool:
    return rule_for(call.layer) in (probed.channelwise, rebuilding.rebuilt)


def _dropout(found: Propagation, call: Call) -> list[Flow]:
    if call.layer.noise_shape is not None and call.layer.noise_shape[-1] not in (None, 1):
        raise NotImplementedError("has a noise_shape that states the number of channels")
    return [call.inputs[0]]


_KERNELS: dict[type, Rule] = {
    layers.Conv2D: kernels.convolution,
    layers.Conv2DTranspose: kernels.transposed_convolution,
    layers.SeparableConv2D: kernels.separable_convolution,
    layers.Dense: kernels.dense,
}
_EXTREMES = (
    *(layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D, layers.AdaptiveMaxPooling2D),
    *(layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D),
)
_EXTREME_FUNCTIONS = ("MaxPool", "AdaptiveMaxPool", "Max", "Min", "Amax", "Amin", "Logsumexp")
# They find channels on the last axis.
_ON_LAST_AXIS: dict[type, Rule] = {
    **_KERNELS,
    layers.DepthwiseConv2D: kernels.depthwise_convolution,
    layers.Normalization: kernels.normalization,
    layers.Rescaling: kernels.rescaling,
    **dict.fromkeys((layers.Dropout, layers.AlphaDropout), _dropout),
    **dict.fromkeys((layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D), unchanged),
    **dict.fromkeys((layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D), unchanged),
    **dict.fromkeys((layers.Cropping1D, layers.Cropping2D, layers.Cropping3D), unchanged),
    **dict.fromkeys((layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D, layers.Resizing), unchanged),
    **dict.fromkeys((layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D), unchanged),
    **dict.fromkeys((layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D), unchanged),
    **dict.fromkeys((layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D), unchanged),
    **dict.fromkeys(
        (layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D), unchanged
    ),
    **dict.fromkeys((layers.AdaptiveMaxPooling2D, layers.AdaptiveAveragePooling2D, layers.CenterCrop), unchanged),
    layers.RepeatVector: unchanged,
}
_RULES: dict[type, Rule] = {
    **{kind: on_last_axis(rule) for kind, rule in _ON_LAST_AXIS.items()},
    layers.Conv1D: kernels.convolution_along,
    layers.LayerNormalization: on_last_axis(whole_rules.layer_norm),
    layers.BatchNormalization: kernels.batch_norm,
    layers.GroupNormalization: kernels.group_norm,
    layers.Activation: elementwise.activation,
    **dict.fromkeys((layers.ReLU, layers.LeakyReLU, layers.ELU), elementwise.function),
    layers.PReLU: kernels.prelu,
    layers.Softmax: shapes.over_positions,
    layers.UnitNormalization: shapes.of_length_one,
    layers.Multiply: elementwise.product,
    layers.Dot: contractions.contraction,
    **dict.fromkeys(elementwise.SUM_LAYERS, elementwise.total),
    layers.Concatenate: shapes.concatenate,
    layers.Flatten: shapes.flatten,
    layers.Reshape: shapes.reshape("target_shape"),
    layers.Permute: shapes.moved,
    **dict.fromkeys((layers.GaussianDropout, layers.GaussianNoise), unchanged),
    **dict.fromkeys((layers.ActivityRegularization, layers.Identity), unchanged),
}
_OPERATION_RULES: dict[str, Rule] = {
    **dict.fromkeys((*elementwise.LINEAR_FUNCTIONS, *elementwise.BENT_FUNCTIONS, *SAME_FOR_ALL), elementwise.function),
    **dict.fromkeys(elementwise.SUMS, elementwise.total),
    **dict.fromkeys(elementwise.PRODUCTS, elementwise.product),
    **dict.fromkeys(elementwise.OTHER_MERGES, elementwise.selection),
    "Matmul": contractions.contraction,
    "Concatenate": shapes.concatenate,
    "Stack": shapes.stack,
    "Reshape": shapes.reshape("newshape"),
    **dict.fromkeys(("Transpose", "Swapaxes", "Moveaxis", "ExpandDims", "Squeeze"), shapes.moved),
    **dict.fromkeys(("Mean", "Sum", "Max", "Min", "Amax", "Amin", "Var", "Prod", "Logsumexp"), shapes.reduction),
    "Normalize": shapes.of_length_one,
    **dict.fromkeys(("Softmax", "LogSoftmax", "Sparsemax"), shapes.over_positions),
    **dict.fromkeys(
        ("MaxPool", "AveragePool", "AdaptiveMaxPool", "AdaptiveAveragePool", "Resize", "PadImages", "CropImages"),
        on_last_axis(shapes.pooling),
    ),
    "SpaceToDepth": on_last_axis(shapes.space_to_depth),
    "DepthToSpace": on_last_axis(shapes.depth_to_space),
    "Pad": shapes.pad,
    "Repeat": shapes.repeat,
    "Tile": shapes.tile,
    "Flip": shapes.flip,
    "Roll": shapes.roll,
    "Rot90": shapes.turned,
    "BroadcastTo": shapes.broadcast,
    "Glu": shapes.gated_half,
    "Split": slices.split,
    "Unstack": slices.unstack,
    "Slice": slices.box,
    "GetItem": slices.item,
    "Take": slices.take,
}
