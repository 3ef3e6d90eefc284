"""Convolutions of each channel by a kernel that is a number and no weight, as blurs before a stride have them.

A layer of Keras' with a frozen weight computes the same, at any width: of a constant no narrow network has a part.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np


def is_depthwise(operation: Any) -> bool:
    """Returns whether an operation is such a convolution, of whatever kernel."""
    return type(operation).__name__ == "DepthwiseConv" and not isinstance(operation, keras.layers.Layer)


def has_fixed_kernel(operation: Any, args: Sequence[Any]) -> bool:
    """Returns whether a call applies to each channel of images, the last axis, a kernel that is a number."""
    if not is_depthwise(operation) or len(args) != 2 or operation.data_format == "channels_first":
        return False
    is_number = isinstance(args[0], keras.KerasTensor) and not isinstance(args[1], (keras.KerasTensor, keras.Variable))
    return is_number and len(args[0].shape) == len(np.shape(args[1])) == 4


def fixed_depthwise(operation: Any, args: Sequence[Any], *, name: str) -> Any:
    """Applies a layer of that name, with the kernel for a frozen weight, as such a call applies the kernel."""
    tensor, kernel = args[0], np.asarray(args[1])
    layer = keras.layers.DepthwiseConv2D(
        kernel.shape[:2],
        strides=operation.strides,
        padding=operation.padding,
        depth_multiplier=kernel.shape[3],
        dilation_rate=operation.dilation_rate,
        use_bias=False,
        trainable=False,
        name=name,
    )
    layer.build(tensor.shape)
    layer.kernel.assign(kernel)
    return layer(tensor)
