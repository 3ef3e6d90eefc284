from ofar_tf.family.kotlin_call import kotlin_outputs, kotlin_run
from ofar_tf.tflite.tensor_info import TensorInfo


def test_the_one_output_of_a_classifier_needs_no_name(make_entry):
    entry = make_entry("net", macs=1, top1=0.5)
    assert (kotlin_outputs(entry), kotlin_run(entry, interpreter="it")) == ("", "it.run(image, scores)")


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
