import functools
import re
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from ofar_tf.models import applications
from ofar_tf.models.applications import application, application_names
from ofar_tf.models.weight_transfer import weighted_layers

PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
# Of the ImageNet images that Keras' DenseNets and EfficientNets were trained on.
STANDARDIZED = ((PIXELS / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)).astype("float32")

# The modules whose `preprocess_input` does something, and one network of each.
PREPROCESSED = {
    "densenet": "DenseNet121", "inception_resnet_v2": "InceptionResNetV2", "inception_v3": "InceptionV3",
    "mobilenet": "MobileNet", "mobilenet_v2": "MobileNetV2", "nasnet": "NASNetMobile", "resnet": "ResNet50",
    "resnet_v2": "ResNet50V2", "vgg16": "VGG16", "vgg19": "VGG19", "xception": "Xception",
}  # fmt: skip


def scaled(name: str) -> np.ndarray:
    """What the first layer of a network gives, in the order of channels that Keras' own has."""
    scaling = applications._scaling(name)
    pixels = np.asarray(keras.layers.Rescaling(scaling.scale, offset=scaling.offset)(PIXELS))
    return pixels[..., ::-1] if scaling.reads_bgr else pixels


def graph_only(build, *args, **kwargs):
    with keras.StatelessScope(initialize_variables=False):
        return build(*args, **kwargs)


@pytest.mark.parametrize("module", PREPROCESSED)
def test_images_are_scaled_as_the_family_wants_them(module):
    expected = getattr(keras.applications, module).preprocess_input(PIXELS.copy())
    np.testing.assert_allclose(scaled(PREPROCESSED[module]), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["MobileNetV3Small", "EfficientNetV2B0", pytest.param("EfficientNetV2S", marks=pytest.mark.slow)]
)
def test_images_are_scaled_as_by_the_layers_that_a_network_starts_with(name):
    own = graph_only(getattr(keras.applications, name), include_top=False, weights=None, input_shape=(None, None, 3))
    expected = PIXELS
    for layer in own.layers[1:3]:
        if isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization)):
            expected = layer(expected)
    assert expected is not PIXELS
    np.testing.assert_allclose(scaled(name), expected, rtol=1e-5, atol=1e-4)


def test_efficientnet_is_scaled_as_its_pretrained_weights_want_it():
    np.testing.assert_allclose(scaled("EfficientNetB0"), STANDARDIZED, rtol=1e-4, atol=1e-4)


def test_every_network_of_keras_has_a_scaling_but_convnext():
    found = {name for name in dir(keras.applications) if name[0].isupper()}
    assert found - set(application_names()) == {name for name in found if name.startswith("ConvNeXt")}


@pytest.mark.parametrize("name", ["MobileNetV3Small", "EfficientNetB0"])
def test_a_network_has_stock_layers_only_one_scaling_and_a_head_of_its_own(name):
    model = graph_only(application, name, classes=7)
    assert model.input_shape == (None, None, None, 3)
    assert model.output_shape == (None, 7)
    for layer in model.layers:
        assert type(layer) is getattr(keras.layers, type(layer).__name__)
    assert [layer.name for layer in model.layers[1:] if isinstance(layer, keras.layers.Rescaling)] == ["rescaling"]
    assert not any(isinstance(layer, keras.layers.Normalization) for layer in model.layers)
    assert [layer.name for layer in model.layers[-3:]] == ["global_pool", "logits_dropout", "logits"]


def test_a_scaled_sum_is_written_as_stock_layers():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(3, 1)(inputs)
    custom = keras.src.applications.inception_resnet_v2.CustomScaleLayer(0.17, name="block")
    model = keras.Model(inputs, custom([keras.layers.Identity()(x), x]))
    shape = keras.Input((None, None, 3))
    copy = applications._copied(model, inputs=shape, scaled=shape, with_weights=True)
    assert {type(layer).__name__ for layer in copy.layers} == {"InputLayer", "Conv2D", "Identity", "Rescaling", "Add"}
    np.testing.assert_allclose(copy(PIXELS), model(PIXELS), rtol=1e-6)


def test_a_network_that_compares_sizes_when_it_is_built_runs_at_others():
    model = graph_only(application, "NASNetMobile", classes=7)
    assert model.compute_output_shape((1, 96, 96, 3)) == (1, 7)


def test_layers_are_called_the_same_however_many_networks_were_built_before():
    first, second = (graph_only(application, "Xception", classes=3) for _ in range(2))
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
    # The first shortcut, which Keras gives no name.
    assert first.get_layer("conv2d_1").filters == 128


def keras_file(model: keras.Model, path: Path) -> str:
    """Writes weights as Keras' published files hold them: by layer, in the order of the graph."""
    layers = list(weighted_layers(model))
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name, _ in layers]
        for name, layer in layers:
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{index}".encode() for index in range(len(layer.weights))]
            for index, weight in enumerate(layer.get_weights()):
                group.create_dataset(f"{index}", data=weight)
    return str(path)


def own_network(name: str, **options) -> keras.Model:
    """Keras' own network with weights that are nowhere zero or one."""
    keras.utils.set_random_seed(3)
    model = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(None, None, 3), **options)
    random = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return model


@pytest.mark.parametrize(
    ("name", "images", "options"),
    [
        ("MobileNetV2", PIXELS / 127.5 - 1, {"alpha": 0.35}),
        # BGR, less the means of ImageNet.
        pytest.param(
            *("ResNet50", PIXELS[..., ::-1] - np.array([103.939, 116.779, 123.68]), {}), marks=pytest.mark.slow
        ),
    ],
)
def test_a_file_of_keras_weights_gives_what_keras_own_network_gives(name, images, options, tmp_path):
    own = own_network(name, **options)
    model = application(
        name, classes=3, width_multiplier=options.get("alpha", 1.0), weights=keras_file(own, tmp_path / "own_notop.h5")
    )
    features = keras.Model(model.input, model.get_layer("global_pool").output)(PIXELS)
    expected = np.asarray(own(images.astype("float32"))).mean((1, 2))
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_weights_of_imagenet_are_asked_of_keras(monkeypatch):
    asked, builder = [], keras.applications.MobileNetV2

    @functools.wraps(builder)
    def fake(*, weights, **options):
        asked.append(weights)
        return builder(weights=None, **options)

    monkeypatch.setattr(keras.applications, "MobileNetV2", fake)
    application("MobileNetV2", classes=3, width_multiplier=0.35, weights="imagenet")
    assert asked == ["imagenet"]


@pytest.mark.parametrize("error", [OSError("URL fetch failure\non https"), ValueError("shapes\ndiffer")])
def test_weights_that_keras_cannot_load_are_refused_in_one_line(error, monkeypatch):
    @functools.wraps(keras.applications.MobileNetV2)
    def fake(**_):
        raise error

    monkeypatch.setattr(keras.applications, "MobileNetV2", fake)
    with pytest.raises(
        ValueError, match=r"^Expected weights of MobileNetV2 without its top, .* Received: x\.h5: "
    ) as e:
        application("MobileNetV2", classes=3, weights="x.h5")
    assert "\n" not in str(e.value)


def test_dropout_of_nought_is_no_layer():
    model = graph_only(application, "MobileNetV2", classes=3, width_multiplier=0.35, dropout=0.0)
    assert [layer.name for layer in model.layers[-2:]] == ["global_pool", "logits"]


def test_an_unknown_name_is_answered_with_the_names_and_the_closest():
    message = re.escape("Received: 'MobileNetv2'. Did you mean MobileNetV2?")
    with pytest.raises(ValueError, match=rf"^Expected keras\.applications: and one of DenseNet121, .* {message}$"):
        application("MobileNetv2", classes=3)


def test_a_network_without_alpha_refuses_a_width_multiplier():
    with pytest.raises(
        ValueError, match=r"Expected width_multiplier=1 for ResNet50\. Received: width_multiplier=0\.5\."
    ):
        application("ResNet50", classes=3, width_multiplier=0.5)
