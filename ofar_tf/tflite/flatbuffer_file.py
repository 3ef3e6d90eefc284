"""A TFLite file as objects that can be changed, and back."""

from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

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


class _AlignedBuilder(flatbuffers.Builder):
    def StartVector(self, item_bytes: int, count: int, alignment: int) -> Any:  # noqa: N802
        return super().StartVector(item_bytes, count, BUFFER_ALIGNMENT if item_bytes == 1 else alignment)
