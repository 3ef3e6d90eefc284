import keras
import numpy as np
import pytest

from ofar_tf.models.classifier import classifier, images


@pytest.fixture
def mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


def test_the_logits_are_the_dense_image_of_the_mean_feature():
    inputs, scaled = images()
    model = classifier(inputs, scaled, classes=2, name="mean")
    kernel, bias = model.get_layer("logits").get_weights()
    np.testing.assert_array_equal(bias, 0)
    picture = np.array([[[[0.0, 0.0, 255.0], [255.0, 127.5, 255.0]]]], "float32")  # Means, scaled: 0, -0.5, 1.
    np.testing.assert_allclose(model(picture), np.array([[0.0, -0.5, 1.0]]) @ kernel, atol=1e-6)


def test_the_logits_stay_float32_under_mixed_precision(mixed_precision):
    inputs, scaled = images()
    x = keras.layers.Conv2D(4, 3)(scaled)
    model = classifier(inputs, x, classes=2, name="mixed")
    assert x.dtype == "bfloat16"
    assert model.outputs[0].dtype == "float32"
    assert model(np.zeros((1, 8, 8, 3), "float32")).dtype == "float32"


def test_one_class_is_refused():
    inputs, scaled = images()
    with pytest.raises(ValueError, match=r"at least 2 classes\. Received: classes=1\."):
        classifier(inputs, scaled, classes=1, name="one")


def test_a_channels_first_configuration_is_refused(channels_first):
    with pytest.raises(ValueError, match=r"channels_last\. Received: image_data_format='channels_first'\."):
        images()
