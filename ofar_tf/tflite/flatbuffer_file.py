"""A TFLite file as objects that can be changed, and back."""

from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

_NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
BUFFER_ALIGNMENT = 16
"""Bytes; what the public schema demands of a buffer's content (`force_align`)."""


def read_model(content: bytes) -> schema.ModelT:
    """Reads a TFLite file into objects.

    By LiteRT's own tool: a plain unpack loses buffers that are stored by offset.

    Args:
        content: The whole file; what stands behind the model, such as a zip archive, is not read.

    Returns:
        The model.
    """
    return flatbuffer_utils.read_model_from_bytearray(content)


def write_model(model: schema.ModelT) -> bytes:
    """Writes a model, with every buffer where LiteRT can use it without a copy.

    The schema's Python code, which TensorFlow's converter uses too, ignores the alignment that the schema demands.
    LiteRT then copies what it needs aligned, such as int16x8's biases, at every start, and warns of it.

    Args:
        model: The model.

    Returns:
        The whole file.
    """
    builder = _AlignedBuilder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def kinds_of(model: schema.ModelT) -> list[str]:
    """Names the operators of a model's first graph, in order.

    Args:
        model: The model.

    Returns:
        Names of the schema.
    """
    codes = [model.operatorCodes[operator.opcodeIndex] for operator in model.subgraphs[0].operators]
    # Old files hold the code in a byte, new ones in an int: the schema says to take the larger.
    return [_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in codes]


class _AlignedBuilder(flatbuffers.Builder):
    def StartVector(self, item_bytes: int, count: int, alignment: int) -> Any:  # noqa: N802
        return super().StartVector(item_bytes, count, BUFFER_ALIGNMENT if item_bytes == 1 else alignment)
