"""What TensorFlow computes and no builtin operator of TFLite does: a network with it would be trained for no file."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from ofar_tf.text.size import Size

_Neighbours = Callable[[Any], Sequence[Any]]

# Each was given to the converter alone. `Erf` is not among them: within a GELU it becomes an operator.
_WITHOUT = frozenset(
    (
        *("MaxPool3D", "AvgPool3D", "ResizeBicubic", "ScaleAndTranslate", "ImageProjectiveTransformV3", "RGBToHSV"),
        *("BitwiseAnd", "Cumprod", "FFT2D", "LogMatrixDeterminant", "Svd", "MatrixInverse", "Erfinv"),
        *("Tan", "Sinh", "Cosh", "Asin", "Acos", "Atan", "Asinh", "Acosh", "Atanh"),
    )
)

# What Keras draws with, a dropout that is on in inference for instance: it comes from no image.
_DRAWN = "StatelessRandomGetKeyCounter"


def unconvertible(network: keras.Model, *, size: Size) -> list[str]:
    """Finds what of a network cannot become part of a TFLite file.

    Args:
        network: A network of RGB images.
        size: One that it runs at.

    Returns:
        TensorFlow's names of operations that no builtin operator computes, in order; what is known before an image
        comes is none of them, except random numbers.
    """
    image = tf.TensorSpec([1, size.height, size.width, 3], tf.float32)
    graph = (
        tf.function(lambda given: network(given, training=False), autograph=False).get_concrete_function(image).graph
    )
    seen = _reached(graph.inputs[:1], lambda tensor: tensor.consumers(), lambda node: node.outputs)
    needed = _reached(graph.outputs, lambda tensor: [tensor.op], lambda node: node.inputs)
    found = [node for node in seen if _has_none(node)] + [node for node in needed if node.type == _DRAWN]
    return [f"{node.name} ({node.type})" for node in found]


def warn_of_missing_operators(network: keras.Model, *, size: Size) -> None:
    """Logs a warning if no file can come of a network.

    Args:
        network: As in `unconvertible`.
        size: Likewise.
    """
    if names := unconvertible(network, size=size):
        logging.getLogger(__name__).warning(
            "%s can be trained, but not exported: it has %s, which no operator of TFLite computes.",
            network.name,
            ", ".join(names[:3]),
        )


def _reached(start: Sequence[Any], nodes_of: _Neighbours, tensors_of: _Neighbours) -> list[Any]:
    reached: dict[int, Any] = {}
    pending = list(start)
    while pending:
        for node in nodes_of(pending.pop()):
            if id(node) not in reached:
                reached[id(node)] = node
                pending += tensors_of(node)
    return list(reached.values())


def _has_none(node: Any) -> bool:
    is_spread = node.type == "Conv2DBackpropInput" and any(each != 1 for each in node.get_attr("dilations"))
    return is_spread or node.type in _WITHOUT
