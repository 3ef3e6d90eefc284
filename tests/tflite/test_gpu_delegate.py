import pytest
import tensorflow as tf

from ofar_tf.tflite.file_graph import operator_names
from ofar_tf.tflite.gpu_delegate import gpu_refused


@pytest.mark.parametrize("precision", ["float32", "float16", "dynamic", "int8", "int8_float_io"])
def test_a_gpu_takes_a_whole_network(converted, precision):
    assert gpu_refused(converted(precision).read_bytes()) == {}


def test_a_gpu_takes_nothing_of_16_bit_integers(converted):
    content = converted("int16x8").read_bytes()
    assert gpu_refused(content) == dict.fromkeys(sorted(set(operator_names(content))), "takes no int16")


def file_of(function, *shapes):
    """Converts a function of float tensors."""
    signature = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    concrete = tf.function(function, input_signature=signature).get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()


@pytest.mark.parametrize(
    ("function", "shape", "refused"),
    [
        (lambda x: tf.argmax(x, axis=-1), [1, 8], {"ARG_MAX": "has no kernel"}),
        (lambda x: tf.exp(tf.reshape(x, [1, 2, 2, 2, 2])), [1, 16], {"RESHAPE": "takes no tensor of 5 axes"}),
        (lambda x: tf.cast(x > 0, tf.float32), [1, 8], {}),
    ],
)
def test_an_operator_is_refused_by_its_kind_its_types_and_its_shape(function, shape, refused):
    found = gpu_refused(file_of(function, shape))
    assert refused.items() <= found.items() and bool(found) == bool(refused)


def test_what_is_no_model_is_refused():
    with pytest.raises(ValueError, match="Expected a TFLite file"):
        gpu_refused(b"nothing")
