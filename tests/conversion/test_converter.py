import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from ofar_tf.conversion.converter import convert
from ofar_tf.conversion.precision import PRECISIONS
from ofar_tf.tflite.network_file import TFLiteNetwork


def interpreter_of(path):
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    return interpreter


def test_the_int8_file_takes_image_bytes_as_they_are_and_gives_bytes(converted):
    interpreter = interpreter_of(converted("int8"))
    (image,), (scores,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (image["dtype"], tuple(image["shape"]), image["quantization"]) == (np.uint8, (1, 16, 16, 3), (1.0, 0))
    # 8-bit softmax has a fixed scale of 1/256.
    assert (scores["dtype"], tuple(scores["shape"]), scores["quantization"]) == (np.uint8, (1, 3), (1 / 256, 0))


def test_all_weights_of_the_int8_file_are_integers(converted):
    details = interpreter_of(converted("int8")).get_tensor_details()
    assert not [tensor["name"] for tensor in details if tensor["dtype"] == np.float32]


def test_the_float32_file_names_its_input_and_output(converted):
    assert interpreter_of(converted("float32")).get_signature_list() == {
        "serve": {"inputs": ["image"], "outputs": ["probabilities"]}
    }


@pytest.mark.parametrize("precision", sorted(set(PRECISIONS) - {"int8", "qat"}))
def test_every_other_precision_takes_and_gives_floats_near_to_keras(precision, converted, network, images):
    interpreter = interpreter_of(converted(precision))
    (image,), (scores,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(image["index"], images[:1])
    interpreter.invoke()
    difference = np.abs(interpreter.get_tensor(scores["index"]) - network.predict(images[:1], verbose=0)).max()
    assert difference < (1e-6 if precision == "float32" else 0.05)


def test_conversion_prints_nothing_on_standard_output(network, capfd):
    convert(network, precision="float32")
    assert capfd.readouterr().out == ""


def test_a_network_of_any_resolution_is_refused():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(image))
    with pytest.raises(
        ValueError, match=r"Expected one input of static shape .* Received: \[\(None, None, None, 3\)\]"
    ):
        convert(model, precision="float32")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (None, r"Expected representative images of shape \[N, 16, 16, 3\]. Received: None."),
        (np.zeros((4, 8, 8, 3)), r"Received: \(4, 8, 8, 3\)."),
        (np.zeros((0, 16, 16, 3)), r"Received: \(0, 16, 16, 3\)."),
        (np.full((4, 16, 16, 3), -0.5), r"values in 0..255. Received: -0.5 to -0.5."),
        (np.full((4, 16, 16, 3), np.nan), r"values in 0..255. Received: nan to nan."),
    ],
)
def test_representative_images_that_do_not_fit_are_refused(network, images, message):
    with pytest.raises(ValueError, match=message):
        convert(network, precision="int8", representative_images=images)


def test_images_that_resizing_took_a_hair_out_of_range_leave_the_input_scale_at_one(network, tmp_path):
    images = np.full((2, 16, 16, 3), 255.00003, np.float32)
    images[0] = -1e-4
    (tmp_path / "net.tflite").write_bytes(convert(network, precision="int8", representative_images=images))
    image = TFLiteNetwork(tmp_path / "net.tflite", allocate=False).input
    assert (image.scale, image.zero_point) == (1.0, 0)


def test_an_unknown_precision_is_refused(network):
    with pytest.raises(ValueError, match=r"Expected one of the precisions float32, .* Received: precision='int4'."):
        convert(network, precision="int4")
