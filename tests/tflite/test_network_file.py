import numpy as np
import pytest

from ofar_tf.tflite.network_file import TFLiteNetwork
from ofar_tf.tflite.tensor_info import TensorInfo


def test_real_values_are_rounded_half_up_and_clipped():
    info = TensorInfo("image", "uint8", (1, 2, 2, 3), (0.0, 255.0), scale=2.0, zero_point=3)
    # By hand: 1 / 2 = 0.5 rounds to 1, plus 3; 600 / 2 + 3 exceeds 255.
    assert info.to_stored(np.array([0.0, 0.9, 1.0, 4.0, 600.0])).tolist() == [3, 3, 4, 5, 255]
    assert info.to_real(np.array([3, 4, 255], np.uint8)).tolist() == [0.0, 2.0, 504.0]


def test_floats_are_stored_as_they_are():
    info = TensorInfo("image", "float32", (1, 2, 2, 3), (0.0, 255.0))
    assert info.to_stored(np.array([0.25, 300.0])).tolist() == [0.25, 300.0]


def test_input_and_output_are_described(converted):
    network = TFLiteNetwork(converted("int8"), ranges={"probabilities": (0.0, 1.0)}, allocate=False)
    (output,) = network.outputs
    assert network.input == TensorInfo("image", "uint8", (1, 16, 16, 3), (0.0, 255.0), scale=1.0, zero_point=0)
    assert output == TensorInfo("probabilities", "uint8", (1, 3), (0.0, 1.0), scale=1 / 256, zero_point=0)
    assert TFLiteNetwork(converted("float32")).input == TensorInfo("image", "float32", (1, 16, 16, 3), (0.0, 255.0))


def test_scores_are_those_of_keras(converted, network, images):
    expected = network.predict(images, verbose=0)
    np.testing.assert_allclose(TFLiteNetwork(converted("float32")).run(images), expected, atol=1e-6)
    # Two steps of an 8-bit probability and a little for the rounded weights.
    np.testing.assert_allclose(TFLiteNetwork(converted("int8")).run(images), expected, atol=0.06)


def test_no_images_give_no_scores(converted, images):
    assert TFLiteNetwork(converted("float32")).run(images[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    "quantization",
    [{}, {"scale": 1.0}, {"zero_point": 0}, {"scale": 0.0, "zero_point": 0}, {"scale": np.inf, "zero_point": 0}],
)
def test_an_integer_tensor_without_a_sound_scale_is_refused(quantization):
    with pytest.raises(ValueError, match=r"Expected a (scale|positive scale)"):
        TensorInfo("image", "uint8", (1,), (0.0, 255.0), **quantization)
