import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from ofar_tf.tflite.flatbuffer_file import read_model, write_model
from ofar_tf.tflite.network_file import TFLiteNetwork


def unaligned_buffers(content):
    """How many of a file's buffers do not begin at a multiple of 16 bytes."""
    model = schema.Model.GetRootAs(content, 0)
    buffers = [model.Buffers(index) for index in range(model.BuffersLength())]
    starts = [buffer._tab.Vector(buffer._tab.Offset(4)) for buffer in buffers if buffer.DataLength()]
    assert len(starts) > 5
    return sum(start % 16 != 0 for start in starts)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_file_written_again_computes_the_same_and_is_aligned(precision, converted, images, tmp_path):
    content = converted(precision).read_bytes()
    # The converter's own files are not aligned, or the test would show nothing.
    assert unaligned_buffers(content) > 0
    again = tmp_path / "again.tflite"
    again.write_bytes(write_model(read_model(content)))
    assert unaligned_buffers(again.read_bytes()) == 0
    expected = TFLiteNetwork(converted(precision)).run(images)
    np.testing.assert_array_equal(TFLiteNetwork(again).run(images), expected)


def with_buffers_by_offset(content):
    """The same file as the converter writes large ones: the contents of its buffers stand behind the model."""
    model = read_model(content)
    datas = [buffer.data for buffer in model.buffers]
    behind = 1
    for _ in range(2):  # Once to learn the model's size, once with the offsets that follow from it.
        for buffer, data in zip(model.buffers, datas, strict=True):
            if data is not None:
                buffer.data, buffer.offset, buffer.size = None, behind, len(data)
                behind += len(data)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        behind = len(builder.Output())
    return bytes(builder.Output()) + b"".join(bytes(data) for data in datas if data is not None)


def test_buffers_that_are_stored_by_offset_keep_their_content(converted):
    content = converted("float32").read_bytes()
    by_offset = with_buffers_by_offset(content)
    assert any(buffer.offset for buffer in schema.ModelT.InitFromPackedBuf(by_offset).buffers)
    assert write_model(read_model(by_offset)) == write_model(read_model(content))
