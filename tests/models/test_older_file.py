"""Files that Keras 2 wrote, by hand: with weights that Keras has written for the same network of today."""

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from ofar_tf.models.loading import load
from ofar_tf.models.tensorflow_function import TensorFlowFunction
from ofar_tf.models.user_model import as_classifier, read_file
from ofar_tf.pruning.channel_groups import find_channel_groups

# Keras 3.15 writes weights with a NumPy call that NumPy 2 deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*HDF5:UserWarning"),
]


def layer(kind: str, name: str, *nodes: Any, **config: Any) -> dict[str, Any]:
    return {
        "class_name": kind,
        "config": {"name": name, "trainable": True, "dtype": "float32", **config},
        "name": name,
        "inbound_nodes": list(nodes),
    }


def image(name: str) -> dict[str, Any]:
    return layer("InputLayer", name, batch_input_shape=[None, 8, 8, 3], sparse=False, ragged=False)


def model(kind: str, name: str, layers: list[Any], *nodes: Any, **ends: Any) -> dict[str, Any]:
    named = {"class_name": kind, "config": {"name": name, "layers": layers, **ends}, "name": name}
    return {**named, "inbound_nodes": list(nodes)}


def older() -> dict[str, Any]:
    """A body called twice, a residual sum, a half of the channels, a name with a slash, what Keras 2 alone has."""
    policy = {"module": "keras.mixed_precision", "class_name": "Policy", "config": {"name": "float32"}}
    separable = {"filters": 6, "kernel_size": [3, 3], "padding": "same", "groups": 1, "kernel_initializer": None}
    body = [
        layer("RandomFlip", "flip", mode="horizontal", rng_type="stateful", batch_input_shape=[None, 8, 8, 3]),
        layer("RandomHeight", "high", factor=0.2, interpolation="bilinear", seed=None),
        layer("SeparableConv2D", "conv", kernel_regularizer=None, **separable),
        layer("SyncBatchNormalization", "bn", axis=[3], epsilon=0.01),
        layer("SpatialDropout2D", "drop", rate=0.5, noise_shape=None, seed=None),
        layer("Conv2DTranspose", "up", filters=6, kernel_size=[3, 3], padding="same", groups=1),
        layer("LeakyReLU", "leaky", alpha=0.5),
        layer("Activation", "act", activation="relu", dtype=policy),
        layer("DepthwiseConv2D", "deep", kernel_size=[3, 3], padding="same", groups=1),
    ]
    layers = [
        image("input/1"),
        layer("Cropping2D", "a/crop", [["input/1", 0, 0, {}]], cropping=[[1, 1], [1, 1]]),
        layer("ZeroPadding2D", "a_crop", [["a/crop", 0, 0, {}]], padding=[[1, 1], [1, 1]]),
        model("Sequential", "body", body, [["input/1", 0, 0, {}]], [["a_crop", 0, 0, {"training": False}]]),
        layer("TFOpLambda", "tf.math.truediv", ["body", 1, 0, {"y": 2.0, "name": None}], function="math.truediv"),
        layer(
            "TFOpLambda",
            "tf.add",
            ["tf.math.truediv", 0, 0, {"y": ["body", 2, 0], "name": None}],
            function="__operators__.add",
        ),
        layer("TFOpLambda", "tf.sub", ["_CONSTANT_VALUE", -1, 1.0, {"y": ["tf.add", 0, 0]}], function="math.subtract"),
        layer(
            "TFOpLambda",
            "tf.concat",
            [["tf.sub", 0, 0, {"axis": -1}], ["tf.add", 0, 0, {"axis": -1}]],
            function="concat",
        ),
        layer(
            "SlicingOpLambda",
            "tf.getitem",
            [
                "tf.concat",
                0,
                0,
                {"slice_spec": [{"class_name": "__ellipsis__"}, {"start": 2, "stop": 9, "step": None}]},
            ],
            function="__operators__.getitem",
        ),
        # Two images of one, and one of two.
        layer("TFOpLambda", "tf.cut", ["tf.getitem", 0, 0, {"shape": [-1, 4, 8, 7]}], function="reshape"),
        layer("TFOpLambda", "tf.join", ["tf.cut", 0, 0, {"shape": [-1, 8, 8, 7]}], function="reshape"),
        layer("GlobalAveragePooling2D", "pool", [["tf.join", 0, 0, {}]]),
        layer("Dense", "head/logits", [["pool", 0, 0, {}]], units=10),
    ]
    ends = {"input_layers": [["input/1", 0, 0]], "output_layers": [["head/logits", 0, 0]]}
    return model("Functional", "net", layers, **ends)


class SyncBatchNormalization(keras.layers.BatchNormalization):
    """Archives have weights under the name of the class."""


def today() -> keras.Model:
    """The same network, by today's Keras."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    inside = [
        keras.Input((8, 8, 3)),
        layers.RandomFlip("horizontal"),
        layers.SeparableConv2D(6, 3, padding="same"),
        SyncBatchNormalization(epsilon=0.01),
        layers.Conv2DTranspose(6, 3, padding="same"),
        layers.LeakyReLU(0.5),
        layers.Activation("relu"),
        layers.DepthwiseConv2D(3, padding="same"),
    ]
    body, given = keras.Sequential(inside), keras.Input((8, 8, 3))
    total = body(given) / 2.0 + body(layers.ZeroPadding2D(1)(layers.Cropping2D(1)(given)))
    mixed = keras.ops.concatenate([1.0 - total, total], axis=-1)[..., 2:9]
    network = keras.Model(given, layers.Dense(10)(layers.GlobalAveragePooling2D()(mixed)))
    for weight in network.weights:
        if "float" in weight.dtype:
            weight.assign(np.random.default_rng(len(weight.path)).uniform(0.2, 1.0, weight.shape))
    return network


def archived(described: Any) -> Any:
    """What the archives of Keras 2 say beside."""
    if isinstance(described, list):
        return [archived(each) for each in described]
    if not isinstance(described, dict):
        return described
    described = {name: archived(value) for name, value in described.items()}
    if "inbound_nodes" not in described:
        return described
    module = {"Functional": "keras.src.engine.functional", "Sequential": "keras"}.get(
        described["class_name"], "keras.layers"
    )
    return {**described, "module": module, "registered_name": None}


def written(path: Path, network: keras.Model, described: dict[str, Any]) -> Path:
    network.save(path)
    if path.suffix == ".h5":
        with h5py.File(path, "a") as file:
            file.attrs["model_config"] = json.dumps(described)
        return path
    with zipfile.ZipFile(path) as given:
        files = {name: given.read(name) for name in given.namelist()}
    files["config.json"] = json.dumps({**archived(described), "compile_config": {"optimizer": "adam"}}).encode()
    files["metadata.json"] = b'{"keras_version": "2.15.0"}'
    with zipfile.ZipFile(path, "w") as again:
        for name, content in files.items():
            again.writestr(name, content)
    return path


IMAGES = np.random.default_rng(0).uniform(size=(2, 8, 8, 3)).astype("float32")


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return today()


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_what_keras_2_wrote_computes_what_it_computed(network, tmp_path, suffix):
    read = read_file(str(written(tmp_path / f"net{suffix}", network, older())))
    np.testing.assert_allclose(read(IMAGES, training=False), network(IMAGES, training=False), rtol=1e-5)
    assert {"head_logits", "a_crop", "a_crop_"} <= {each.name for each in read.layers}


def test_functions_of_tensorflow_in_it_become_operations(network, tmp_path):
    path = written(tmp_path / "net.h5", network, older())
    opened = as_classifier(read_file(str(path)), reference="my:net")
    np.testing.assert_allclose(opened(IMAGES, training=False), network(IMAGES, training=False), rtol=1e-5)
    assert not any(isinstance(each, TensorFlowFunction) for each in opened.operations)
    assert len(find_channel_groups(opened).groups) == 1


def test_an_hdf5_file_of_today_with_operations_in_it_is_read(tmp_path):
    given = keras.Input((8, 8, 3))
    mixed = keras.ops.relu(given / 2.0 + keras.layers.Conv2D(3, 1)(given)) + given
    mixed = mixed[..., 1:] + mixed[:, None, ..., :2][:, 0] + mixed[:, :, :, -2:]
    network = keras.Model(given, keras.layers.GlobalAveragePooling2D()(mixed))
    network.save(tmp_path / "net.h5")
    np.testing.assert_array_equal(read_file(str(tmp_path / "net.h5"))(IMAGES), network(IMAGES, training=False))


def test_the_oldest_sequential_models_are_lists_of_layers(tmp_path):
    inside = [keras.layers.BatchNormalization(), keras.layers.Flatten(), keras.layers.Dense(10)]
    network = keras.Sequential([keras.Input((8, 8, 3)), *inside])
    network.layers[0].moving_variance.assign([1.0, 2.0, 4.0])
    first = layer("BatchNormalizationV1", "bn", axis=[3], batch_input_shape=[None, 8, 8, 3])
    layers = [first, layer("Flatten", "flat"), layer("Dense", "dense", units=10)]
    described = {"class_name": "Sequential", "config": layers}
    path = written(tmp_path / "net.h5", network, described)
    path = path.rename(tmp_path / "net.keras")  # HDF5 was written under that name too.
    np.testing.assert_array_equal(read_file(str(path))(IMAGES), network(IMAGES, training=False))


def function_of(name: str) -> dict[str, Any]:
    layers = [
        image("images"),
        layer("TFOpLambda", "own", ["images", 0, 0, {}], function=name),
        layer("GlobalAveragePooling2D", "pool", [["own", 0, 0, {}]]),
        layer("Dense", "logits", [["pool", 0, 0, {}]], units=10),
    ]
    return model("Functional", "net", layers, input_layers=[["images", 0, 0]], output_layers=[["logits", 0, 0]])


@pytest.mark.parametrize("name", ["io.write_file", "load_library", "py_function", "math.no_such", "compat.v1.io.gfile"])
def test_a_file_calls_nothing_but_functions_on_tensors(tmp_path, name):
    network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)])
    path = written(tmp_path / "net.h5", network, function_of(name))
    with pytest.raises(ValueError, match=rf"a \.h5 file that Keras can read.*Received: .*tf\.{name}") as error:
        read_file(str(path))
    assert "\n" not in str(error.value)


def test_a_function_that_nothing_of_keras_computes_is_named(tmp_path):
    network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)])
    path = written(tmp_path / "net.h5", network, function_of("math.bessel_i0e"))
    with pytest.raises(ValueError, match=r"Received: .*nothing that Keras has computes tf\.math\.bessel_i0e") as error:
        find_channel_groups(as_classifier(read_file(str(path)), reference="my:net"))
    assert "\n" not in str(error.value)


def with_lambda() -> keras.Model:
    given = keras.Input((8, 8, 3))
    return keras.Model(given, keras.layers.Lambda(lambda x: x[:, 0, 0])(given))


def with_own_layer() -> keras.Model:
    own = type("OwnLayer", (keras.layers.Layer,), {"call": lambda self, x: x[:, 0, 0]})
    given = keras.Input((8, 8, 3))
    return keras.Model(given, own()(given))


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize(
    ("build", "advice"),
    [(with_lambda, r"load_model\(PATH, safe_mode=False\)"), (with_own_layer, r"in the module that defines or imports")],
)
def test_code_that_no_file_holds_is_asked_for_by_its_way_in(tmp_path, build, advice, suffix):
    path = str(tmp_path / f"net{suffix}")
    build().save(path)
    with pytest.raises(ValueError, match=advice) as error:
        read_file(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["net.weights.h5", "net.h5"])
def test_weights_alone_are_refused_with_the_way_to_use_them(tmp_path, name):
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Dense(10)]).save_weights(tmp_path / "net.weights.h5")
    path = str((tmp_path / "net.weights.h5").rename(tmp_path / name))
    with pytest.raises(ValueError, match=r"weights alone .*--pretrained=FILE\)\. Received: .*net\.") as error:
        load(path, classes=10)
    assert "\n" not in str(error.value)
