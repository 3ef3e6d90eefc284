import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf import models

# Keras 3.15 writes weights with a NumPy call that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

# Every family at a width that a test can afford.
SMALL = {
    "efficientnet_lite0": 0.25,
    "mobilenet_v1": 0.25,
    "mobilenet_v2": 0.25,
    "resnet20": 1.0,
    "resnet50": 0.125,
    "resnet50_v1": 0.125,
    "vgg16": 0.125,
    "wide_resnet_10_1": 1.0,
}


@pytest.fixture(scope="module", params=SMALL)
def small_network(request):
    keras.utils.set_random_seed(1)
    return models.build(request.param, classes=7, width_multiplier=SMALL[request.param], small_images=True)


def images(count: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (count, height, width, 3)).astype("float32")


def test_every_listed_name_is_built_under_its_name():
    with keras.StatelessScope(initialize_variables=False):  # Their weights, hundreds of megabytes, are not drawn.
        for name in models.names():
            assert models.build(name, classes=3).name == name


@pytest.mark.parametrize(("height", "width"), [(20, 20), (32, 48)])
def test_a_network_for_small_images_gives_near_uniform_logits(small_network, height, width):
    logits = small_network(images(2, height, width)).numpy()
    assert logits.shape == (2, 7)
    assert np.all(np.isfinite(logits))
    assert 0 < np.abs(logits).max() < 3


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v1", "mobilenet_v2", "resnet50", "vgg16"])
def test_one_network_takes_several_resolutions(name):
    model = models.build(name, classes=5, width_multiplier=0.125)
    assert model.input_shape == (None, None, None, 3)
    for resolution in (64, 96):
        logits = model(images(1, resolution, resolution)).numpy()
        assert logits.shape == (1, 5)
        assert np.all(np.isfinite(logits))


def test_only_stock_layers_are_used(small_network):
    for layer in small_network.layers:
        assert type(layer) is getattr(keras.layers, type(layer).__name__)


def test_pixels_from_0_to_255_become_minus_one_to_one(small_network):
    rescaling = small_network.layers[1]
    assert rescaling.name == "rescaling"
    # EfficientNet-Lite was trained on (x - 127) / 128.
    tolerance = 0.01 if small_network.name == "efficientnet_lite0" else 1e-6
    np.testing.assert_allclose(rescaling(np.array([0.0, 127.5, 255.0])), [-1, 0, 1], atol=tolerance)


def test_all_gammas_start_at_one_and_all_betas_at_zero(small_network):
    norms = [layer for layer in small_network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) > 5
    for norm in norms:
        np.testing.assert_array_equal(norm.gamma, 1)
        np.testing.assert_array_equal(norm.beta, 0)


def test_no_convolution_has_a_bias_or_fixes_the_resolution(small_network):
    convolutions = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    for layer in small_network.layers:
        if isinstance(layer, convolutions):
            assert not layer.use_bias
            assert layer.padding == "same"


def test_no_two_kernels_start_equal(small_network):
    kernels = [layer.kernel.numpy().tobytes() for layer in small_network.layers if hasattr(layer, "kernel")]
    assert len(set(kernels)) == len(kernels)


def test_a_step_of_training_reaches_every_weight(small_network):
    with tf.GradientTape() as tape:
        logits = small_network(images(4, 20, 20), training=True)
        loss = tf.reduce_mean(tf.square(logits - tf.one_hot([0, 1, 2, 3], 7)))
    for gradient, variable in zip(
        tape.gradient(loss, [variable.value for variable in small_network.trainable_variables]),
        small_network.trainable_variables,
        strict=True,
    ):
        assert gradient is not None, variable.path
        assert np.all(np.isfinite(gradient)), variable.path


def test_a_network_survives_its_file(small_network, tmp_path):
    path = str(tmp_path / "network.keras")
    small_network.save(path)
    restored = models.load(path, classes=7)
    x = images(2, 24, 24)
    np.testing.assert_array_equal(restored(x), small_network(x))


def test_a_reference_without_dot_or_colon_is_a_built_in_name():
    model = models.load("wide_resnet_10_2", classes=4, small_images=True)
    assert model.name == "wide_resnet_10_2"
    assert model.output_shape == (None, 4)


def test_a_width_multiplier_reaches_the_built_in_network():
    assert models.load("mobilenet_v1", classes=4, width_multiplier=0.5).get_layer("stem").filters == 16


def test_an_unknown_name_is_answered_with_the_names_and_the_closest():
    with pytest.raises(
        ValueError, match=r"^Expected .* mobilenet_v1, mobilenet_v2, .* Did you mean mobilenet_v2\?$"
    ) as error:
        models.load("MobileNetV2", classes=10)
    assert "Received: 'MobileNetV2'." in str(error.value)


def test_a_name_like_no_other_is_answered_without_a_guess():
    with pytest.raises(ValueError, match=r"Received: 'zzz'\.$"):
        models.build("zzz", classes=10)


def test_a_wide_resnet_refuses_a_width_multiplier():
    with pytest.raises(
        ValueError, match=r"width_multiplier=1 for wide_resnet_16_4.* Received: width_multiplier=1\.5\."
    ):
        models.build("wide_resnet_16_4", classes=10, width_multiplier=1.5)


def test_a_file_refuses_a_width_multiplier():
    with pytest.raises(
        ValueError, match=r"width_multiplier=1 for a saved model.* Received: width_multiplier=1\.5 with a\.keras"
    ):
        models.load("a.keras", classes=10, width_multiplier=1.5)


def test_a_function_of_the_current_directory_is_called(tmp_path, monkeypatch):
    (tmp_path / "registry_test_nets.py").write_text(
        "import keras\n"
        "def tiny(classes):\n"
        "    i = keras.Input((None, None, 3))\n"
        "    x = keras.layers.GlobalAveragePooling2D()(i)\n"
        "    return keras.Model(i, keras.layers.Dense(classes)(x), name='tiny')\n"
    )
    monkeypatch.chdir(tmp_path)
    assert models.load("registry_test_nets:tiny", classes=6).output_shape == (None, 6)
