"""Which layers of a classification network a detector reads."""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from ofar_tf.models.functional_graph import graph_of
from ofar_tf.models.resolution import fixed_size

STRIDES = (8, 16, 32)

# Divisible by every stride; for bodies of any size.
_PROBE = 1024
# What ends a block, in networks of this package: inverted residuals, VGG's stages, MobileNetV1, residual networks.
_ENDS = re.compile(
    r"block_\d+_(add|project_bn)|stage\d_pool|block_\d+_pointwise_relu|stage\d_block\d+_relu|group\d_block\d+_add"
)


def feature_maps(body: keras.Model, *, names: Sequence[str] = ()) -> tuple[Any, dict[str, Any]]:
    """Finds the outputs of a network's layers at strides 8, 16 and 32.

    Layers may be part of several models, so the body is run once more, symbolically, on an input of its own.

    Args:
        body: A flat functional model.
        names: The names of its three layers, the finest first; by default the last block of each stride, which networks
            of this package have.

    Returns:
        The symbolic input, and three symbolic tensors made of it, `[B, H / stride, W / stride, C]`, by layer.

    Raises:
        ValueError: If there is no layer of a name, or its stride is another, or none is known for a stride, or the body
            has no maps at one of the strides.
    """
    strides = _strides(body)
    _check_strides(strides, body.name)
    if not names:
        names = _last_blocks(strides, body.name)
    _check_names(names, body, strides)
    graph = graph_of(body)
    outputs = {call.operation.name: call.outputs for call in graph.calls}
    return graph.inputs[0], {name: outputs[name] for name in names}


def _strides(body: keras.Model) -> dict[str, float]:
    """Returns the stride of each layer that gives a map, by its name, in the order of the graph.

    That of a map with a margin (what a padding layer gives) or without its border is no whole number: it fits no other.
    """
    size = fixed_size(body) or _PROBE
    calls = graph_of(body, inputs=[keras.Input(batch_shape=(1, size, size, 3), name="probe")]).calls
    found = {call.operation.name: keras.tree.flatten(call.outputs)[0].shape for call in calls}
    return {name: size / shape[1] for name, shape in found.items() if len(shape) == 4 and shape[1] > 1}


def _check_strides(strides: Mapping[str, float], name: str) -> None:
    if not set(STRIDES) <= set(strides.values()):
        there = ", ".join(f"{stride:.4g}" for stride in sorted(set(strides.values())))
        raise ValueError(f"Expected a body with maps at strides 8, 16 and 32. Received: {name}, with strides {there}.")


def _last_blocks(strides: Mapping[str, float], name: str) -> list[str]:
    last = {stride: layer for layer, stride in strides.items() if _ENDS.fullmatch(layer)}
    missing = [stride for stride in STRIDES if stride not in last]
    if missing:
        raise ValueError(
            f"Expected --features, the names of three layers of {name} at strides 8, 16 and 32, for instance "
            f"{_possible(strides)}. Received: none, and no block that ends at stride {missing[0]}."
        )
    return [last[stride] for stride in STRIDES]


def _possible(strides: Mapping[str, float]) -> str:
    """Names the last layer of each stride."""
    last = {stride: layer for layer, stride in strides.items()}
    return ",".join(last[stride] for stride in STRIDES)


def _check_names(names: Sequence[str], body: keras.Model, strides: Mapping[str, float]) -> None:
    if len(names) != len(STRIDES):
        raise ValueError(f"Expected three --features, at strides 8, 16 and 32. Received: {', '.join(names)}.")
    for name, stride in zip(names, STRIDES, strict=True):
        if name not in strides:
            close = difflib.get_close_matches(name, strides, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"There are {_possible(strides)}."
            raise ValueError(f"Expected --features that {body.name} has. Received: {name!r}. {hint}")
        if strides[name] != stride:
            raise ValueError(
                f"Expected a feature at stride {stride}. Received: {name!r}, at stride {strides[name]:.4g}."
            )
