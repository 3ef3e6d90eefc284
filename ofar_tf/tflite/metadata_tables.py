"""The bytes of TFLite metadata: FlatBuffers tables described by data.

Neither TensorFlow nor LiteRT ships the metadata schema, and the packages that do cannot be installed beside TensorFlow
2.21 (DESIGN section 4). A classifier needs nine of its tables; their slots follow from the order of the fields in the
public `metadata_schema.fbs` (file identifier M001, version 1.5.0), where a union takes two slots, its type and its
value.
"""

from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np
from flatbuffers import encode, number_types, packer, table

IDENTIFIER = b"M001"
MIN_PARSER_VERSION = "1.0.0"
"""All fields below are there since the schema's first version."""

RGB = 1
"""ColorSpaceType of `ImageProperties`."""
AXIS_LABELS = 2
"""AssociatedFileType of a file whose lines name the entries of the last axis."""
FEATURE, IMAGE = 1, 2
"""Types of `Content.properties`."""
NORMALIZATION = 1
"""Type of `ProcessUnit.options`."""

_TEXT, _BYTE, _FLOATS = "text", "byte", "floats"
Kind = str | Mapping[str, Any] | list[Any]
Schema = Mapping[str, tuple[int, Kind]]

_FILE: Schema = {"name": (0, _TEXT), "description": (1, _TEXT), "type": (2, _BYTE)}
_IMAGE_PROPERTIES: Schema = {"color_space": (0, _BYTE)}
_CONTENT: Schema = {"type": (0, _BYTE), "properties": (1, _IMAGE_PROPERTIES)}
_NORMALIZATION: Schema = {"mean": (0, _FLOATS), "std": (1, _FLOATS)}
_PROCESS_UNIT: Schema = {"type": (0, _BYTE), "options": (1, _NORMALIZATION)}
_STATS: Schema = {"max": (0, _FLOATS), "min": (1, _FLOATS)}
_TENSOR: Schema = {
    "name": (0, _TEXT),
    "description": (1, _TEXT),
    "content": (3, _CONTENT),
    "process_units": (4, [_PROCESS_UNIT]),
    "stats": (5, _STATS),
    "files": (6, [_FILE]),
}
_SUBGRAPH: Schema = {"inputs": (2, [_TENSOR]), "outputs": (3, [_TENSOR])}
_MODEL: Schema = {
    "name": (0, _TEXT),
    "description": (1, _TEXT),
    "version": (2, _TEXT),
    "subgraphs": (3, [_SUBGRAPH]),
    "author": (4, _TEXT),
    "license": (5, _TEXT),
    "min_parser_version": (7, _TEXT),
}


def encode_metadata(model: Mapping[str, Any]) -> bytes:
    """Writes a model's metadata.

    Args:
        model: The fields of the schema's ModelMetadata, tables as mappings and vectors as lists. A union is the field
            `type` beside its value. What is left out is absent in the bytes.

    Returns:
        The content of the file's metadata buffer.

    Raises:
        KeyError: If a field is not one of the schema's.
    """
    builder = flatbuffers.Builder(1024)
    builder.Finish(_write_table(builder, _MODEL, model), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def decode_metadata(content: bytes) -> dict[str, Any]:
    """Reads what `encode_metadata` writes.

    Args:
        content: The content of a metadata buffer.

    Returns:
        The fields that are there. Of unions, only the types named above are understood.

    Raises:
        ValueError: If the bytes are no metadata.
    """
    if content[4:8] != IDENTIFIER:
        raise ValueError(f"Expected TFLite metadata, with M001 as bytes 4 to 7. Received: {content[:8]!r}.")
    return _read_table(table.Table(bytearray(content), encode.Get(packer.uoffset, content, 0)), _MODEL)


def _write_table(builder: flatbuffers.Builder, schema: Schema, values: Mapping[str, Any]) -> int:
    # A table begins only after everything that it points to.
    ready = [(*schema[name], _write_value(builder, schema[name][1], value)) for name, value in values.items()]
    builder.StartObject(1 + max((slot for slot, _ in schema.values()), default=-1))
    for slot, kind, value in ready:
        if kind == _BYTE:
            builder.PrependInt8Slot(slot, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    return builder.EndObject()


def _write_value(builder: flatbuffers.Builder, kind: Kind, value: Any) -> int:
    """Writes what a table points to and returns its offset; a byte stands in the table itself."""
    if isinstance(kind, list):
        return _write_vector(builder, [_write_table(builder, kind[0], item) for item in value])
    if isinstance(kind, Mapping):
        return _write_table(builder, kind, value)
    if kind == _FLOATS:
        return builder.CreateNumpyVector(np.asarray(value, np.float32))
    return builder.CreateString(value) if kind == _TEXT else value


def _write_vector(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _read_table(source: table.Table, schema: Schema) -> dict[str, Any]:
    # The entry of slot i in a table's index stands 4 + 2i bytes after its begin.
    places = {name: source.Offset(4 + 2 * slot) for name, (slot, _) in schema.items()}
    return {name: _read_value(source, schema[name][1], place) for name, place in places.items() if place}


def _read_value(source: table.Table, kind: Kind, place: int) -> Any:
    position = place + source.Pos
    if isinstance(kind, list):
        starts = [source.Vector(place) + 4 * index for index in range(source.VectorLen(place))]
        return [_read_table(table.Table(source.Bytes, source.Indirect(start)), kind[0]) for start in starts]
    if isinstance(kind, Mapping):
        return _read_table(table.Table(source.Bytes, source.Indirect(position)), kind)
    if kind == _FLOATS:
        return source.GetVectorAsNumpy(number_types.Float32Flags, place).tolist()
    return source.String(position).decode() if kind == _TEXT else source.Get(number_types.Int8Flags, position)
