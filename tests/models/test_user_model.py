from pathlib import Path

import keras
import numpy as np
import pytest

from ofar_tf.models.user_code import call_function
from ofar_tf.models.user_model import as_classifier, is_saved, read_file, warn_of_frozen_layers
from ofar_tf.pruning.channel_groups import find_channel_groups

# Keras 3.15 writes weights with a NumPy call that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def network(*, classes: int = 10, activation: str | None = None, channels: int = 3) -> keras.Model:
    inputs = keras.Input((None, None, channels))
    x = keras.layers.Conv2D(4, 3)(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(classes, activation=activation)(x))


def sequential(*layers: keras.Layer) -> keras.Sequential:
    return keras.Sequential([*layers, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)])


@keras.saving.register_keras_serializable("ofar_tf_tests")
class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.pool = keras.layers.GlobalAveragePooling2D()
        self.logits = keras.layers.Dense(10)

    def call(self, inputs):
        return self.logits(self.pool(inputs))


class OwnCall(keras.Model):
    def call(self, inputs, training=False):
        return super().call(inputs) * (2 if training else 1)


class OwnWeight(keras.Model):
    def __init__(self):
        super().__init__()
        self.scale = self.add_weight(shape=(3,))
        self.pool = keras.layers.GlobalAveragePooling2D()

    def call(self, inputs):
        return self.pool(inputs) * keras.ops.cumsum(self.scale)


def batches_of_four() -> keras.Model:
    images = keras.Input(batch_shape=(4, 8, 8, 3))
    pooled = keras.ops.reshape(keras.layers.GlobalAveragePooling2D()(images), (4, 3))
    return keras.Model(images, keras.layers.Dense(10)(pooled))


def check(model, *, classes: int = 10) -> keras.Model:
    return as_classifier(model, classes=classes, reference="my:net")


def test_a_functional_model_is_taken_as_it_is():
    model = network()
    assert check(model) is model


def test_a_sequential_model_becomes_functional_with_the_same_weights():
    model = sequential(keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3))
    functional = check(model)
    assert not isinstance(functional, keras.Sequential)
    assert functional.name == model.name
    x = np.random.default_rng(0).uniform(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_array_equal(functional(x), model(x))
    assert functional.trainable_variables[0] is model.trainable_variables[0]


def test_a_sequential_model_that_does_not_say_what_it_takes_gets_images_of_any_size():
    rest = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)]
    model = check(keras.Sequential([keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3), *rest]))
    assert model.input_shape == (None, None, None, 3)
    assert model(np.zeros((2, 9, 9, 3))).shape == (2, 10)


def test_a_sequential_model_that_has_seen_data_takes_batches_of_any_size():
    model = sequential(keras.layers.Conv2D(4, 3))
    images = np.random.default_rng(0).uniform(size=(2, 8, 8, 3)).astype("float32")
    logits = model(images)
    assert model.inputs[0].shape[0] == 2
    free = check(model)
    assert (free.input_shape[0], free.output_shape) == (None, (None, 10))
    np.testing.assert_allclose(free(images[:1]), logits[:1], rtol=1e-4, atol=1e-5)
    assert free.trainable_variables[0] is model.trainable_variables[0]


@pytest.mark.parametrize("wrap", [lambda tensor: [tensor], lambda tensor: {"only": tensor}])
def test_a_model_of_lists_or_dicts_is_made_to_map_tensor_to_tensor(wrap):
    inputs = keras.Input((None, None, 3), name="only")
    logits = network()(inputs)
    model = check(keras.Model(wrap(inputs), wrap(logits), name="wrapped"))
    assert model.name == "wrapped"
    assert model.input.shape == (None, None, None, 3)
    assert model.output.shape == (None, 10)
    assert model(np.ones((2, 8, 8, 3), "float32")).shape == (2, 10)


def test_a_sequential_file_is_read_and_becomes_functional(tmp_path):
    path = str(tmp_path / "net.keras")
    sequential(keras.Input((None, None, 3))).save(path)
    assert check(read_file(path)).output_shape == (None, 10)


@pytest.mark.filterwarnings("ignore:.*HDF5:UserWarning")
def test_a_whole_model_of_an_older_program_is_read_and_weights_alone_are_none(tmp_path):
    path = str(tmp_path / "net.h5")
    model = network()
    model.save(path)
    np.testing.assert_array_equal(check(read_file(path))(np.ones((1, 8, 8, 3))), model(np.ones((1, 8, 8, 3))))
    assert [is_saved(name) for name in (path, "a.hdf5", "a.keras", "a.weights.h5", "a:b")] == [True] * 3 + [False] * 2


def test_a_subclassed_model_in_a_file_is_opened(tmp_path):
    path = str(tmp_path / "net.keras")
    model = Subclassed()
    images = np.random.default_rng(0).uniform(size=(2, 4, 4, 3)).astype("float32")
    logits = model(images)
    model.save(path)
    np.testing.assert_allclose(check(read_file(path))(images), logits, rtol=1e-6)


def two_inputs() -> keras.Model:
    first, second = keras.Input((None, None, 3)), keras.Input((None, None, 3))
    return keras.Model([first, second], network()(first + second))


def two_outputs() -> keras.Model:
    model = network()
    return keras.Model(model.input, [model.output, model.layers[-2].output])


def flattening() -> keras.Model:
    return keras.Sequential([keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(10)])


def own_call() -> keras.Model:
    model = network()
    return OwnCall(model.input, model.output)


def channels_first() -> keras.Model:
    inputs = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D(data_format="channels_first")(keras.layers.Resizing(3, 3)(inputs))
    return keras.Model(inputs, keras.layers.Dense(10)(x))


def nested_channels_first() -> keras.Model:
    inputs = keras.Input((None, None, 3))
    return keras.Model(inputs, channels_first()(inputs))


def softmax_layer() -> keras.Model:
    model = network()
    return keras.Model(model.input, keras.layers.Softmax()(model.output))


def softmax_activation() -> keras.Model:
    model = network()
    return keras.Model(model.input, keras.layers.Activation("softmax")(model.output))


def softmax_operation() -> keras.Model:
    model = network()
    return keras.Model(model.input, keras.ops.softmax(model.output))


def softmax_within() -> keras.Model:
    inputs = keras.Input((None, None, 3))
    return keras.Model(inputs, network(activation="softmax")(inputs))


def softmax_within_sequential() -> keras.Model:
    inputs = keras.Input((None, None, 3))
    top = keras.Sequential([keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10, "softmax")])
    return keras.Model(inputs, top(inputs))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: "a string", r"Expected a functional Keras model.* Received: my:net, which gives a builtins\.str\."),
        (
            OwnWeight,
            r"Expected a functional Keras model.* Received: my:net, which .*OwnWeight: .* uses weight 'scale', ",
        ),
        (
            own_call,
            r"Expected a functional.* a .*OwnCall: its call does something else in training than in inference\.",
        ),
        (
            flattening,
            r"a Sequential model that starts with keras\.Input.* Received: my:net, whose input shape is unknown",
        ),
        (channels_first, r"data_format channels_last\. Received: my:net with channels_first\."),
        (nested_channels_first, r"data_format channels_last\. Received: my:net with channels_first\."),
        (
            two_inputs,
            r"one input of RGB images.* with input shapes \[\(None, None, None, 3\), \(None, None, None, 3\)\]",
        ),
        (lambda: network(channels=4), r"one input of RGB images.* with input shapes \[\(None, None, None, 4\)\]\."),
        (batches_of_four, r"takes any number of images\. Received: my:net with batches of 4\."),
        (lambda: network(classes=1000), r"one output \[batch, 10\].* with output shapes \[\(None, 1000\)\]\."),
        (two_outputs, r"one output \[batch, 10\].* with output shapes \[\(None, 10\), \(None, 4\)\]\."),
        (lambda: network(activation="softmax"), r"remove the final softmax\. Received: my:net, "),
        (softmax_layer, r"remove the final softmax\."),
        (softmax_activation, r"remove the final softmax\."),
        (softmax_operation, r"remove the final softmax\."),
        (softmax_within, r"remove the final softmax\."),
        (softmax_within_sequential, r"remove the final softmax\."),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(build, message):
    with pytest.raises(ValueError, match=message) as error:
        check(build())
    assert "\n" not in str(error.value)


def gray_that_flattens() -> keras.Model:
    layers = [keras.layers.Conv2D(4, 3, name="rgb_to_gray"), keras.layers.Flatten(), keras.layers.Dense(10)]
    return keras.Sequential([keras.Input((8, 8, 1)), *layers])


def gray_that_has_seen_data() -> keras.Model:
    model = sequential(keras.layers.Conv2D(4, 3))
    model(np.zeros((3, 8, 8, 1)))
    return model


def gray_with_a_call() -> keras.Model:
    model = Subclassed()
    model(np.zeros((1, 8, 8, 1)))
    return model


def gray_in_a_dict() -> keras.Model:
    gray = keras.Input((None, None, 1), name="gray")
    return keras.Model({"gray": gray}, network(channels=1)(gray))


@pytest.mark.parametrize(
    "build",
    [
        lambda: network(channels=1),
        *(gray_that_flattens, gray_that_has_seen_data, gray_with_a_call, gray_in_a_dict),
        lambda: keras.Sequential([keras.Input((8, 8, 1), dtype="uint8"), network(channels=1)]),
    ],
)
def test_a_model_of_gray_images_takes_rgb_and_of_gray_ones_gives_what_it_gave(build, caplog):
    given = build()
    model = check(given)
    assert model.input_shape[-1] == 3 and model.input_shape[1] in (None, 8)
    assert caplog.messages == [
        "my:net takes gray images; its networks and their files take RGB, which a layer in front makes gray."
    ]
    gray = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1)).astype("float32")
    before = given({"gray": gray} if build is gray_in_a_dict else gray)
    np.testing.assert_allclose(model(np.repeat(gray, 3, axis=-1)), before, rtol=1e-4, atol=1e-3)
    assert len(given.trainable_variables) == len(model.trainable_variables)
    caplog.clear()
    assert check(model) is model
    warn_of_frozen_layers(model)
    assert not caplog.messages


def test_the_gray_image_is_no_channel_that_can_be_pruned():
    groups = find_channel_groups(check(network(channels=1)))
    assert [each.size for each in groups.groups] == [4]
    assert ("rgb_to_gray", "it is the gray image") in [(each.name, each.reason) for each in groups.unprunable]


def test_red_green_and_blue_are_as_bright_as_jpeg_has_them():
    image = keras.Input((None, None, 1))
    model = check(keras.Model(image, keras.layers.GlobalAveragePooling2D()(image * np.ones(10, "float32"))))
    colours = 100.0 * np.eye(3, dtype="float32")[:, None, None]
    np.testing.assert_allclose(model(colours)[:, 0], [29.9, 58.7, 11.4], rtol=1e-5)


def test_a_softmax_inside_the_model_is_no_obstacle():
    inputs = keras.Input((None, None, 3))
    attention = keras.layers.Softmax(axis=-1)(keras.layers.Conv2D(4, 1)(inputs))
    outputs = keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(attention))
    assert check(keras.Model(inputs, outputs)).output_shape == (None, 10)


def test_what_a_subclassed_model_at_the_end_does_is_not_guessed():
    inputs = keras.Input((None, None, 3))
    assert check(keras.Model(inputs, Subclassed()(inputs))).output_shape == (None, 10)


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"Expected a saved Keras model\. Received: nowhere/net\.keras, which"):
        read_file("nowhere/net.keras")


def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path):
    path = tmp_path / "net.keras"
    path.write_text("no model")
    with pytest.raises(
        ValueError, match=r"Expected a \.keras file that Keras can read\. Received: .*net\.keras: "
    ) as error:
        read_file(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("source", ["import sys\nsys.exit()\n", "def build(classes):\n    raise SystemExit(3)\n"])
def test_code_that_ends_the_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    name = f"ends_{len(source)}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"^Expected .*Received: SystemExit(: 3)?$"):
        call_function(f"{name}:build", classes=3, width_multiplier=1.0, small_images=False)
