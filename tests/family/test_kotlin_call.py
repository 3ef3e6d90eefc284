import pytest

from ofar_tf.family.kotlin_call import kotlin_image, kotlin_outputs, kotlin_run
from ofar_tf.tflite.tensor_info import TensorInfo


@pytest.mark.parametrize(
    ("info", "bytes_", "value"),
    [
        (TensorInfo("image", "float32", (1, 16, 20, 3), None), 12, "putFloat((pixel shr shift and 255).toFloat())"),
        (TensorInfo("image", "uint8", (1, 16, 20, 3), None, 1.0, 0), 3, "put((pixel shr shift).toByte())"),
    ],
)
def test_an_image_is_made_of_the_colours_of_a_bitmap(make_entry, info, bytes_, value):
    """A pixel of Android's is 0xAARRGGBB."""
    entry = make_entry("net", macs=1, top1=0.5, input=info)
    assert kotlin_image(entry, pixels="16 * 20").splitlines() == [
        f"val image = ByteBuffer.allocateDirect(16 * 20 * {bytes_}).order(ByteOrder.nativeOrder())",
        f"for (pixel in pixels) for (shift in listOf(16, 8, 0)) image.{value}  // ARGB to {info.dtype} RGB",
    ]


def test_the_one_output_of_a_classifier_needs_no_name(make_entry):
    entry = make_entry("net", macs=1, top1=0.5)
    assert kotlin_outputs(entry) == "val scores = Array(1) { FloatArray(3) }\n"
    assert kotlin_run(entry, interpreter="it") == "it.run(image, scores)"


def test_several_outputs_are_told_apart_by_their_names(make_entry):
    boxes, count = TensorInfo("boxes", "float32", (1, 100, 4), None), TensorInfo("count", "uint8", (1,), None, 1.0, 0)
    entry = make_entry("net", macs=1, top1=0.5, output=boxes, more_outputs=(count,))
    assert kotlin_outputs(entry) == (
        "val outputs = mapOf(\n"
        '    "boxes" to Array(1) { Array(100) { FloatArray(4) } },\n'
        '    "count" to ByteArray(1),\n'
        ")\n"
    )
    assert kotlin_run(entry, interpreter="it") == 'it.runSignature(mapOf("image" to image), outputs)'
