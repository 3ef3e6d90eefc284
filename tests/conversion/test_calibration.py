"""What 8-bit files are quantized by is what a tensor held, also where LiteRT writes a sum over what it adds."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers, ops
from tensorflow.lite.python import lite
from tensorflow.lite.python.optimize import calibrator

from ofar_tf.conversion.calibration import careful_quantizers
from ofar_tf.conversion.converter import convert

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype(np.float32)


def interpreter_of(start) -> Interpreter:
    image = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, padding="same")(start(image)))
    file = convert(keras.Model(image, layers.Dense(2)(x)), precision="int8", representative_images=IMAGES)
    return Interpreter(model_content=file)


def test_scaled_images_keep_their_grey_levels_though_an_offset_is_written_over_them():
    found = interpreter_of(layers.Rescaling(1 / 127.5, offset=-1.0)).get_tensor_details()
    scales = {each["name"].rpartition("/")[2]: each["quantization"] for each in found if "rescaling" in each["name"]}
    assert scales["mul"] == (pytest.approx(2 / 255, rel=1e-6), -128)  # 0..2 in 256 steps.
    assert scales["add"][0] == pytest.approx(2 / 255, rel=1e-6)


def test_a_network_that_turns_channels_and_subtracts_means_takes_image_bytes_as_they_are():
    def as_caffe(image):
        return ops.stack([image[..., 2], image[..., 1], image[..., 0]], axis=-1) - np.array([103.9, 116.8, 123.7], "f")

    (image,) = interpreter_of(as_caffe).get_input_details()
    assert image["quantization"] == (1.0, 0)


def test_other_converters_of_the_process_are_left_as_they_were():
    def used():
        return calibrator.Calibrator.calibrate, calibrator.Calibrator.calibrate_and_quantize, lite._mlir_quantize

    before = used()
    with pytest.raises(KeyError), careful_quantizers():
        assert not set(before) & set(used())
        raise KeyError
    assert used() == before
