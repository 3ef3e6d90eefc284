import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofar_tf.tflite import metadata_tables
from ofar_tf.tflite.metadata_tables import decode_metadata, encode_metadata

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
FLOATS = st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=3)

SIMPLE = {
    metadata_tables._TEXT: TEXTS,
    metadata_tables._FLOATS: FLOATS,
    metadata_tables._BYTE: st.integers(1, 127),
    metadata_tables._INT: st.integers(1, 2**31 - 1),
    metadata_tables._FLOAT: st.floats(width=32, min_value=0.5, max_value=8.0),
    metadata_tables._BYTES: st.binary(min_size=1, max_size=5),
    metadata_tables._COUNTS: st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=3),
}


def values_of(kind):
    """Any values of a schema, with any of its fields; 0 is the same as absent in FlatBuffers, so bytes are not 0."""
    if isinstance(kind, list):
        return st.lists(values_of(kind[0]), max_size=2)
    if isinstance(kind, str):
        return SIMPLE[kind]
    unions = {name: field.of for name, (_, field) in kind.items() if isinstance(field, metadata_tables._Union)}
    others = {name: values_of(field) for name, (_, field) in kind.items() if name not in unions}
    if not unions:
        return st.fixed_dictionaries({}, optional=others)
    del others["type"]
    [(name, tables)] = unions.items()
    return st.one_of(
        st.fixed_dictionaries({"type": st.just(number), name: values_of(table)}, optional=others)
        for number, table in tables.items()
    )


@given(values_of(metadata_tables._MODEL))
def test_what_is_written_is_read_back(model):
    assert decode_metadata(encode_metadata(model)) == model


def test_a_small_table_has_the_bytes_of_the_format():
    # Worked out by hand from FlatBuffers' description of its binary format, for ModelMetadata(version="1"), slot 2.
    content = encode_metadata({"version": "1"})
    root = int.from_bytes(content[:4], "little")
    index = root - int.from_bytes(content[root : root + 4], "little", signed=True)
    places = np.frombuffer(content[index : index + 10], "<u2").tolist()
    assert content[4:8] == b"M001"
    # The index: its own size of 2 + 2 + 3 slots of 2 bytes, the table's 8, nothing in slots 0 and 1, slot 2 at byte 4.
    assert places == [10, 8, 0, 0, 4]
    text = root + 4 + int.from_bytes(content[root + 4 : root + 8], "little")
    assert content[text : text + 6] == b"\x01\x00\x00\x001\x00"


def test_what_is_no_metadata_is_refused():
    with pytest.raises(ValueError, match=r"Expected TFLite metadata, with M001 as bytes 4 to 7. Received: b'TFL3"):
        decode_metadata(b"TFL3TFL3TFL3")


def test_a_field_that_the_schema_does_not_have_is_refused():
    with pytest.raises(KeyError, match="licence"):
        encode_metadata({"licence": "MIT"})
