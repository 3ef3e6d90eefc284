"""The bytes of TFLite metadata: FlatBuffers tables described by data.

Neither TensorFlow nor LiteRT ships the metadata schema, and the packages that do cannot be installed beside TensorFlow
2.21 (DESIGN section 4). Classifiers and detectors need some of its tables; their slots follow from the order of the
fields in the public `metadata_schema.fbs` (file identifier M001, version 1.5.0), where a union takes two slots, its
type and its value, and in MediaPipe's `object_detector_metadata_schema.fbs` (V001).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from flatbuffers import encode, number_types, packer, table

IDENTIFIER, DETECTOR_IDENTIFIER = b"M001", b"V001"
DETECTOR_METADATA = "DETECTOR_METADATA"
"""The name of a detector's options among the custom metadata."""
MIN_PARSER_VERSION = "1.0.0"
"""All fields below are there since the schema's first version."""

RGB = 1
"""ColorSpaceType of `ImageProperties`."""
AXIS_LABELS, VALUE_LABELS = 2, 3
"""AssociatedFileType of a file whose lines name the entries of the last axis, or the values."""
FEATURE, IMAGE, BOXES = 1, 2, 3
"""Types of `Content.properties`."""
BOUNDARIES = 1
"""BoundingBoxType of boxes given by their four sides."""
NORMALIZATION = 1
"""Type of `ProcessUnit.options`."""

_TEXT, _BYTE, _FLOATS, _COUNTS, _BYTES = "text", "byte", "floats", "counts", "bytes"
_INT, _FLOAT = "int", "float"


@dataclass(frozen=True)
class _Union:
    """A table whose form the field `type` beside it says."""

    of: Mapping[int, "Schema"]


Kind = str | Mapping[str, Any] | list[Any] | _Union
Schema = Mapping[str, tuple[int, Kind]]

_FILE: Schema = {"name": (0, _TEXT), "description": (1, _TEXT), "type": (2, _BYTE)}
_IMAGE_PROPERTIES: Schema = {"color_space": (0, _BYTE)}
_BOX_PROPERTIES: Schema = {"index": (0, _COUNTS), "type": (1, _BYTE), "coordinate_type": (2, _BYTE)}
_PROPERTIES = _Union({FEATURE: {}, IMAGE: _IMAGE_PROPERTIES, BOXES: _BOX_PROPERTIES})
_RANGE: Schema = {"min": (0, _INT), "max": (1, _INT)}
_CONTENT: Schema = {"type": (0, _BYTE), "properties": (1, _PROPERTIES), "range": (2, _RANGE)}
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
_CUSTOM: Schema = {"name": (0, _TEXT), "data": (1, _BYTES)}
_SUBGRAPH: Schema = {"inputs": (2, [_TENSOR]), "outputs": (3, [_TENSOR]), "custom": (9, [_CUSTOM])}
_MODEL: Schema = {
    "name": (0, _TEXT),
    "description": (1, _TEXT),
    "version": (2, _TEXT),
    "subgraphs": (3, [_SUBGRAPH]),
    "author": (4, _TEXT),
    "license": (5, _TEXT),
    "min_parser_version": (7, _TEXT),
}
_ANCHOR: Schema = {name: (slot, _FLOAT) for slot, name in enumerate(("x_center", "y_center", "width", "height"))}
_DECODING: Schema = {
    **{
        name: (slot, _INT)
        for slot, name in enumerate(
            (
                "num_classes",
                "num_boxes",
                "num_coords",
                "keypoint_coord_offset",
                "num_keypoints",
                "num_values_per_keypoint",
            )
        )
    },
    **{name: (6 + slot, _FLOAT) for slot, name in enumerate(("x_scale", "y_scale", "w_scale", "h_scale"))},
    "apply_exponential_on_box_size": (10, _BYTE),
    "sigmoid_score": (11, _BYTE),
}
_DETECTOR: Schema = {
    "min_parser_version": (0, _TEXT),
    "ssd_anchors": (1, {"fixed_anchors": (0, {"anchors": (0, [_ANCHOR])})}),
    "decoding": (2, _DECODING),
}


def encode_detector_options(options: Mapping[str, Any]) -> bytes:
    """Writes the custom metadata of a detector that returns raw boxes.

    Args:
        options: The fields of MediaPipe's ObjectDetectorOptions, see `encode_metadata`.

    Returns:
        The `data` of an entry of `custom`.

    Raises:
        KeyError: If a field is not one of the schema's.
    """
    builder = flatbuffers.Builder(1024)
    builder.Finish(_write_table(builder, _DETECTOR, options), file_identifier=DETECTOR_IDENTIFIER)
    return bytes(builder.Output())


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


_VECTORS = {_FLOATS: np.float32, _COUNTS: np.uint32, _BYTES: np.uint8}
_FLAGS = {
    _FLOATS: number_types.Float32Flags,
    _COUNTS: number_types.Uint32Flags,
    _BYTES: number_types.Uint8Flags,
    _BYTE: number_types.Int8Flags,
    _INT: number_types.Int32Flags,
    _FLOAT: number_types.Float32Flags,
}


def _write_table(builder: flatbuffers.Builder, schema: Schema, values: Mapping[str, Any]) -> int:
    # A table begins only after everything that it points to.
    kinds = {name: (slot, _kind(kind, values.get("type"))) for name, (slot, kind) in schema.items()}
    ready = [(*kinds[name], _write_value(builder, kinds[name][1], value)) for name, value in values.items()]
    builder.StartObject(1 + max((slot for slot, _ in schema.values()), default=-1))
    for slot, kind, value in ready:
        if kind == _BYTE:
            builder.PrependInt8Slot(slot, value, 0)
        elif kind == _INT:
            builder.PrependInt32Slot(slot, value, 0)
        elif kind == _FLOAT:
            builder.PrependFloat32Slot(slot, value, 0.0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    return builder.EndObject()


def _write_value(builder: flatbuffers.Builder, kind: Kind, value: Any) -> int:
    """Writes what a table points to and returns its offset; a number stands in the table itself."""
    if isinstance(kind, list):
        return _write_vector(builder, [_write_table(builder, kind[0], item) for item in value])
    if isinstance(kind, Mapping):
        return _write_table(builder, kind, value)
    if kind in _VECTORS:
        if kind == _BYTES:
            value = np.frombuffer(value, np.uint8)
            builder.StartVector(1, len(value), 16)  # As the schema demands of it.
            builder.head -= len(value)
            builder.Bytes[builder.head : builder.head + len(value)] = value.tobytes()
            return builder.EndVector()
        return builder.CreateNumpyVector(np.asarray(value, _VECTORS[kind]))
    return builder.CreateString(value) if kind == _TEXT else value


def _write_vector(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _read_table(source: table.Table, schema: Schema) -> dict[str, Any]:
    # The entry of slot i in a table's index stands 4 + 2i bytes after its begin.
    places = {name: source.Offset(4 + 2 * slot) for name, (slot, _) in schema.items()}
    kind_place = places.get("type")
    told = source.Get(number_types.Int8Flags, kind_place + source.Pos) if kind_place else 0
    return {name: _read_value(source, _kind(schema[name][1], told), place) for name, place in places.items() if place}


def _kind(kind: Any, told: int | None) -> Any:
    """Returns the table that a union holds."""
    return kind.of.get(told or 0, {}) if isinstance(kind, _Union) else kind


def _read_value(source: table.Table, kind: Kind, place: int) -> Any:
    position = place + source.Pos
    if isinstance(kind, list):
        starts = [source.Vector(place) + 4 * index for index in range(source.VectorLen(place))]
        return [_read_table(table.Table(source.Bytes, source.Indirect(start)), kind[0]) for start in starts]
    if not isinstance(kind, str):
        return _read_table(table.Table(source.Bytes, source.Indirect(position)), _kind(kind, None))
    if kind in _VECTORS:
        vector = source.GetVectorAsNumpy(_FLAGS[kind], place)
        return vector.tobytes() if kind == _BYTES else vector.tolist()
    return source.String(position).decode() if kind == _TEXT else source.Get(_FLAGS[kind], position)
