"""Multiply-adds of layers that this package does not know, counted in the TensorFlow graph that they become."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import keras
import tensorflow as tf

from ofar_tf.models.functional_graph import inner_layers, takes_training

# They run a graph of their own, how often is not known before they run.
_LOOPS_AND_BRANCHES = ("While", "StatelessWhile", "If", "StatelessIf", "Case", "StatelessCase")
_FUNCTION_CALLS = ("PartitionedCall", "StatefulPartitionedCall")


def count_macs(operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[int, Counter[str]]:
    """Counts the multiply-adds of convolutions and matrix products in one call, as it runs in inference.

    Args:
        operation: A layer or Keras operation. Its weights need no values.
        args: Its positional arguments, with Keras tensors of known shapes, of one image each.
        kwargs: Its keyword arguments, likewise.

    Returns:
        The multiply-adds, and how many operations of which kind could not be counted: those in loops and branches, and
        those whose shape is unknown before they run.
    """
    graph, _ = _traced(operation, args, kwargs)
    return _count(graph)


def output_shapes(operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[tuple[int | None, ...]]:
    """Returns the shapes of what one call gives, as TensorFlow infers them: some layers say less than that.

    Args:
        operation: As in `count_macs`.
        args: Likewise.
        kwargs: Likewise.
    """
    _, outputs = _traced(operation, args, kwargs)
    return [tuple(output.shape) for output in keras.tree.flatten(outputs)]


def _traced(operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, Any]:
    graph = tf.Graph()
    with graph.as_default(), keras.StatelessScope(state_mapping=_placeholders(operation)):
        positional, named = keras.tree.map_structure(_placeholder, (tuple(args), dict(kwargs)))
        if takes_training(operation) and named.get("training") is None:
            named["training"] = False
        return graph, operation(*positional, **named)


def _placeholders(operation: Any) -> list[tuple[Any, Any]]:
    if not isinstance(operation, keras.layers.Layer):
        return []
    variables = {id(variable): variable for layer in inner_layers(operation) for variable in layer.variables}
    return [(each, tf.compat.v1.placeholder(each.dtype, each.shape)) for each in variables.values()]


def _placeholder(leaf: Any) -> Any:
    if not isinstance(leaf, keras.KerasTensor):
        return leaf
    return tf.compat.v1.placeholder(leaf.dtype, leaf.shape)


def _count(graph: Any) -> tuple[int, Counter[str]]:
    macs, uncounted = 0, Counter[str]()
    for node in graph.get_operations():
        if node.type in _FUNCTION_CALLS:
            inner, missed = _count(_function_graph(graph, node))
            macs += inner
            uncounted += missed
        elif node.type in _LOOPS_AND_BRANCHES:
            uncounted[node.type] += 1
        else:
            try:
                macs += _node_macs(node)
            except (TypeError, ValueError):  # An unknown size is no number.
                uncounted[node.type] += 1
    return macs, uncounted


def _function_graph(graph: Any, node: Any) -> Any:
    return graph._get_function(node.get_attr("f").name).graph  # TensorFlow has no public way to open a function.


def _node_macs(node: Any) -> int:
    shapes = [tensor.shape for tensor in (*node.inputs, *node.outputs)]
    if node.type in ("Conv2D", "DepthwiseConv2dNative", "Conv3D", "Conv"):
        kernel, output = shapes[1].as_list(), shapes[-1].as_list()
        return prod(output[:1] + _spatial(node, output)) * prod(kernel)
    if node.type in ("Conv2DBackpropInput", "Conv3DBackpropInputV2", "DepthwiseConv2dNativeBackpropInput"):
        kernel, source = shapes[1].as_list(), shapes[2].as_list()
        return prod(source[:1] + _spatial(node, source)) * prod(kernel)
    if node.type in ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"):
        flipped = node.get_attr("transpose_a" if node.type == "MatMul" else "adj_x")
        return prod(shapes[-1].as_list()) * shapes[0].as_list()[-2 if flipped else -1]
    if node.type == "Einsum":
        return _einsum_macs(node.get_attr("equation").decode(), [shape.as_list() for shape in shapes[:-1]])
    return 0


def _spatial(node: Any, shape: Sequence[int]) -> list[int]:
    first = b"NC" in node.get_attr("data_format") if node.type != "Conv" else False
    return list(shape[2:] if first else shape[1:-1])


def _einsum_macs(equation: str, shapes: Sequence[Sequence[int]]) -> int:
    """One multiply-add for each combination of all indices; with a single factor there is nothing to multiply."""
    if len(shapes) < 2:
        return 0
    sizes: dict[str, int] = {}
    for labels, shape in zip(equation.split("->")[0].split(","), shapes, strict=True):
        head, dots, tail = labels.replace(" ", "").partition("...")
        names = [*head, *(f".{index}" for index in range(len(shape) - len(head) - len(tail), 0, -1) if dots), *tail]
        for name, size in zip(names, shape, strict=True):
            sizes[name] = max(sizes.get(name, 1), size)
    return prod(sizes.values())
