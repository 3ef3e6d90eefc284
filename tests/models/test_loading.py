import keras
import numpy as np
import pytest

from ofar_tf import models

# Keras 3.15 writes weights with a NumPy call that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 24, 24, 3)).astype("float32")
RESNET8 = {"classes": 3, "width_multiplier": 0.5}


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> str:
    path = str(tmp_path_factory.mktemp("saved") / "my.keras")
    model = models.build("resnet8", classes=9, width_multiplier=0.5)
    keras.Model(model.input, keras.layers.Softmax()(model.output)).save(path)
    return path


def test_a_saved_classifier_of_other_classes_gets_a_new_head_and_it_is_said(saved):
    said = []
    model = models.load(saved, classes=3, new_head=True, dropout=0.3, say=said.append)
    assert model.output_shape == (None, 3)
    assert model.get_layer("logits_dropout").rate == 0.3
    assert said == [f"{saved}: Dense 'logits' of 9 outputs was replaced by a dense layer of 3 logits."]
    old = keras.models.load_model(saved)
    features = [keras.Model(each.inputs[0], each.get_layer("global_pool").output)(IMAGES) for each in (old,)]
    logits = model.get_layer("logits")
    np.testing.assert_allclose(
        model(IMAGES),
        np.asarray(features[0]) @ np.asarray(logits.kernel) + np.asarray(logits.bias),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize(("units", "ending"), [(1, "sigmoid"), (1, None), (2, "softmax")])
def test_a_refused_head_is_replaced_by_the_option_that_the_refusal_names(tmp_path, units, ending):
    path = str(tmp_path / "cats.keras")
    x = inputs = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 1)(x))
    keras.Model(inputs, keras.layers.Dense(units, activation=ending)(x)).save(path)
    with pytest.raises(ValueError, match=r"; new_head=True \(--new_head\) gives it a head for these classes\.$"):
        models.load(path, classes=2)
    said = []
    assert models.load(path, classes=2, new_head=True, say=said.append).output_shape == (None, 2)
    assert said == [f"{path}: Dense {said[0].split()[2]} of {units} outputs was replaced by a dense layer of 2 logits."]


def test_the_head_of_a_model_within_a_model_is_replaced(tmp_path):
    x = inputs = keras.Input((32, 32, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 1, name="conv")(x))
    inner = keras.Model(inputs, keras.layers.Dense(9, activation="softmax", name="old")(x), name="inner")
    keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Rescaling(1 / 255), inner]).save(tmp_path / "nested.keras")
    said = []
    model = models.load(str(tmp_path / "nested.keras"), classes=3, new_head=True, say=said.append)
    assert model.output_shape == (None, 3)
    assert said == [f"{tmp_path}/nested.keras: Dense 'old' of 9 outputs was replaced by a dense layer of 3 logits."]


def test_without_a_new_head_it_is_refused(saved):
    with pytest.raises(ValueError, match=r"Expected a model with one output \[batch, 3\]"):
        models.load(saved, classes=3)


@pytest.mark.parametrize("reference", ["resnet8", "keras.applications:MobileNetV2"])
def test_networks_that_are_built_need_no_new_head(reference):
    with pytest.raises(
        ValueError, match=rf"^Expected new_head with a saved model .* Received: new_head=True with {reference}"
    ):
        models.load(reference, classes=3, new_head=True)


def test_dropout_of_a_saved_model_needs_a_new_head(saved):
    with pytest.raises(ValueError, match=r"with new_head=True only\. Received: dropout=0\.5\."):
        models.load(saved, classes=9, dropout=0.5)


def test_a_built_in_network_takes_dropout_and_a_file_of_weights(saved):
    said = []
    model = models.load("resnet8", **RESNET8, dropout=0.1, pretrained=saved, say=said.append)
    assert model.get_layer("logits_dropout").rate == 0.1
    assert said == [f"resnet8: 18 of 19 layers start from {saved}; begin anew: logits."]
    source = keras.models.load_model(saved)
    for name in ("stem", "stage3_block1_conv2"):
        np.testing.assert_array_equal(model.get_layer(name).kernel, source.get_layer(name).kernel)


def test_a_users_function_takes_a_file_of_weights_too(saved, tmp_path, monkeypatch):
    (tmp_path / "loading_test_nets.py").write_text(
        "from ofar_tf import models\n"
        "def net(classes):\n"
        "    return models.build('resnet8', classes=classes, width_multiplier=0.5)\n"
    )
    monkeypatch.chdir(tmp_path)
    model = models.load("loading_test_nets:net", classes=3, pretrained=saved, say=lambda _: None)
    expected = keras.models.load_model(saved).get_layer("stem").kernel
    np.testing.assert_array_equal(model.get_layer("stem").kernel, expected)


def test_an_application_is_built_with_a_head_for_the_classes():
    with keras.StatelessScope(initialize_variables=False):
        model = models.load("keras.applications:MobileNetV2", classes=3, width_multiplier=0.35, dropout=0.4)
    assert (model.name, model.output_shape) == ("mobilenetv2", (None, 3))
    assert model.get_layer("logits_dropout").rate == 0.4


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_dropout_out_of_range_is_refused(dropout):
    with pytest.raises(ValueError, match=rf"Expected dropout in \[0, 1\)\. Received: dropout={dropout}\."):
        models.load("resnet8", **RESNET8, dropout=dropout)
