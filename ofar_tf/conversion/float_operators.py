"""Which operators of a file stay in floats where the others are rounded, because rounding what they read ruins them.

Rounding takes a step of the same size everywhere in a tensor's range. A quotient, a root and a logarithm are steep near
zero: a variance that rounds to zero is divided by. What is small because large numbers cancel or are left out, such as
the branch of an ELU that ends in `where`, has lost its digits when it is reached.
"""

from collections import defaultdict
from typing import Any

from ofar_tf.tflite.flatbuffer_file import kinds_of

KERNELS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL")
"""Operators that integers are for: what they read and give is always rounded."""

_STEEP = ("DIV", "RSQRT", "SQRT", "LOG", "POW")
_CANCELLING = ("ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM", "SELECT", "SELECT_V2")
# Three bits of eight.
_NARROWER = 8


def float_operators(model: Any) -> set[int]:
    """Finds the operators that are to stay in floats.

    They are steep ones, those whose result is much smaller than what it is made of, and whatever computes for them
    alone back to the next kernel.

    Args:
        model: A float file as objects, with the range of each tensor (`ofar_tf.tflite.flatbuffer_file.read_model`).

    Returns:
        Their places in its first graph.
    """
    graph, kinds = model.subgraphs[0], kinds_of(model)
    makers = {int(tensor): place for place, operator in enumerate(graph.operators) for tensor in operator.outputs}
    readers: dict[int, set[int]] = defaultdict(set)
    for place, operator in enumerate(graph.operators):
        for tensor in operator.inputs:
            readers[int(tensor)].add(place)
    for tensor in graph.outputs:
        readers[int(tensor)].add(-1)
    found = {
        place
        for place, operator in enumerate(graph.operators)
        if _is_ruined(kinds[place], operator, graph=graph, kinds=kinds, makers=makers)
    }
    # Backwards, since what is read comes first.
    for place in reversed(range(len(graph.operators))):
        outputs = [int(tensor) for tensor in graph.operators[place].outputs]
        if kinds[place] not in KERNELS and all(readers[tensor] and readers[tensor] <= found for tensor in outputs):
            found.add(place)
    return found


def _is_ruined(kind: str, operator: Any, *, graph: Any, kinds: list[str], makers: dict[int, int]) -> bool:
    computed = [int(tensor) for tensor in operator.inputs if int(tensor) in makers]
    if all(kinds[makers[tensor]] in KERNELS for tensor in computed):
        return False
    if kind in _STEEP:
        return kind != "DIV" or int(operator.inputs[1]) in makers
    if kind not in _CANCELLING or (kind == "MUL" and len(computed) < len(operator.inputs)):
        return False
    (low, high), parts = range_of(graph, operator.outputs[0]), [range_of(graph, tensor) for tensor in computed]
    if kind == "MUL":
        (first, second), whole = (max(map(abs, part)) for part in parts), max(-low, high)
        return first * second > _NARROWER * whole > 0
    return max(part[1] - part[0] for part in parts) > _NARROWER * (high - low) > 0


def range_of(graph: Any, tensor: int) -> tuple[float, float]:
    """Returns the least and the largest value of a tensor that was calibrated; twice zero for others."""
    known = graph.tensors[int(tensor)].quantization
    if known is None or known.min is None or not len(known.min):
        return 0.0, 0.0
    return float(known.min[0]), float(known.max[0])
