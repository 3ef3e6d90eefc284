"""The memory that a file's tensors take while it runs."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from ofar_tf.tflite.file_graph import constant_tensors


def arena_bytes(path: str | Path) -> int:
    """Measures how much memory LiteRT allocates for a file's tensors.

    LiteRT reports no such number, but it tells where each tensor lies once all are allocated: this counts the bytes
    that at least one tensor uses, those of the operators' scratch tensors included, those of the weights not. It is
    measured with LiteRT's own kernels. XNNPACK, which it runs floats and 8 bits with by default on CPUs, has memory of
    its own that nothing tells of; so this compares files, and does not foretell an application's memory to the byte.

    Args:
        path: The file.

    Returns:
        The number of bytes.

    Raises:
        RuntimeError: If LiteRT cannot make the file ready.
        ValueError: If it is not a TFLite file.
    """
    constant = constant_tensors(Path(path).read_bytes())
    interpreter = Interpreter(
        model_path=str(path),
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    variable = (details["index"] for details in interpreter.get_tensor_details() if details["index"] not in constant)
    return covered(span for index in variable if (span := _span(interpreter, index)))


def covered(spans: Iterable[tuple[int, int]]) -> int:
    """Counts the addresses that lie in at least one span.

    Args:
        spans: First address, and the one behind the last.

    Returns:
        Their number.
    """
    total = reached = 0
    for start, end in sorted(spans):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _span(interpreter: Interpreter, index: int) -> tuple[int, int] | None:
    try:
        view = interpreter.tensor(index)()
    except ValueError:  # What has no memory yet, because its shape is found while the file runs.
        return None
    # LiteRT gives a scalar as a copy. It has a few bytes.
    return (view.ctypes.data, view.ctypes.data + view.nbytes) if isinstance(view, np.ndarray) else None
