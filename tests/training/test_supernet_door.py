"""What `OnceForAll` takes is what the commands take: one function checks both."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from ofar_tf.models.user_model import as_classifier
from ofar_tf.pruning.channel_mask import MaskRules
from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.search.pool_spec import PoolSpec
from ofar_tf.training.once_for_all import OnceForAll
from ofar_tf.training.step_spec import StepSpec
from tests.demanding_layer import Demanding

IMAGE = (None, None, 3)


def body(x: Any) -> Any:
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(layers.Rescaling(1 / 255)(x))
    return layers.ReLU()(layers.BatchNormalization()(x))


def with_layer(layer: Any) -> keras.Model:
    image = keras.Input(IMAGE)
    return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(layer(body(image)))))


def classifier(end: Callable[[Any], Any] = lambda x: x, *, shape: Any = IMAGE) -> keras.Model:
    image = keras.Input(shape)
    return keras.Model(image, end(layers.Dense(3)(layers.GlobalAveragePooling2D()(body(image)))), name="net")


def two_inputs() -> keras.Model:
    first, second = keras.Input(IMAGE), keras.Input(IMAGE)
    return keras.Model([first, second], layers.Dense(3)(layers.GlobalAveragePooling2D()(body(first + second))))


def outputs_of(make: Callable[[Any, Any], Any]) -> keras.Model:
    model = classifier()
    return keras.Model(model.input, make(model.output, model.layers[-2].output))


def fully_convolutional() -> keras.Model:
    image = keras.Input(IMAGE)
    return keras.Model(image, layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1, activation="sigmoid")(body(image))))


def in_dicts() -> keras.Model:
    image = keras.Input(IMAGE, name="image")
    return keras.Model({"image": image}, {"logits": classifier()(image)})


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.head = layers.Dense(3)
        self.bias = self.add_weight(shape=(3,))

    def call(self, images: Any) -> Any:
        return self.head(ops.mean(images, (1, 2))) + ops.cumsum(self.bias)


class OwnCall(keras.Sequential):
    def call(self, images: Any, training: bool | None = None, mask: Any = None) -> Any:
        return (2 if training else 1) * super().call(images, training=training)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "two_channels": (lambda: classifier(shape=(None, None, 2)), "Expected a model with one input of RGB images"),
    "two_inputs": (two_inputs, "Expected a model with one input of RGB images"),
    "two_outputs": (lambda: outputs_of(lambda a, b: [a, b]), "Expected a model with one output"),
    "a_dict_of_outputs": (lambda: outputs_of(lambda a, b: {"a": a, "b": b}), "Expected a model with one output"),
    "a_map": (lambda: keras.Model(i := keras.Input(IMAGE), body(i)), "Expected a model with one output"),
    "one_class": (lambda: classifier(layers.Dense(1)), "Expected a model with logits for at least two classes"),
    "not_square": (lambda: classifier(shape=(48, 32, 3)), "Expected a model for square images"),
    "subclassed": (Subclassed, "Expected a functional Keras model"),
    "a_call_of_its_own": (lambda: OwnCall([classifier()]), "Expected a functional Keras model"),
    "of_unknown_input": (lambda: keras.Sequential([layers.Flatten(), layers.Dense(3)]), "Expected a Sequential model"),
    "no_model": (lambda: "net", "Expected a functional Keras model"),
    "sigmoid": (lambda: classifier(layers.Dense(3, activation="sigmoid")), "remove the final sigmoid"),
    "softmax": (lambda: classifier(layers.Softmax()), "remove the final softmax"),
    "softmax_as_activation": (lambda: classifier(layers.Dense(3, activation=layers.Softmax())), "final softmax"),
    "softmax_function": (lambda: classifier(keras.activations.softmax), "remove the final softmax"),
    "sigmoid_function": (lambda: classifier(keras.activations.sigmoid), "remove the final sigmoid"),
    "softmax_operation": (lambda: classifier(ops.softmax), "remove the final softmax"),
    "behind_an_identity": (lambda: classifier(lambda x: layers.Identity()(layers.Softmax()(x))), "final softmax"),
    "behind_linear": (lambda: classifier(lambda x: layers.Activation("linear")(ops.sigmoid(x))), "final sigmoid"),
    "behind_dropout": (lambda: classifier(lambda x: layers.Dropout(0.1)(ops.softmax(x))), "final softmax"),
    "behind_a_reshape": (lambda: classifier(lambda x: layers.Reshape((3,))(ops.sigmoid(x))), "final sigmoid"),
    "behind_a_cast": (lambda: classifier(lambda x: ops.cast(ops.softmax(x), "float32")), "final softmax"),
    "in_a_nested_model": (lambda: classifier(keras.Sequential([layers.Softmax()])), "final softmax"),
    "before_the_mean": (fully_convolutional, "remove the final sigmoid"),
    "written_out": (
        lambda: classifier(lambda x: ops.exp(x) / ops.sum(ops.exp(x), axis=-1, keepdims=True)),
        "remove the final softmax",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_both_doors_refuse_a_model_in_the_same_line(name: str) -> None:
    build, message = REFUSED[name]
    lines = []
    for door in (lambda model: as_classifier(model, reference="the supernet"), trainer):
        with pytest.raises(ValueError, match=message) as error:
            door(build())
        lines.append(str(error.value))
    assert lines[0] == lines[1] and "\n" not in lines[0] and lines[0].count("Received: ") == 1


def trainer(model: Any, *, resolutions: tuple[int, ...] = (8,), **step: Any) -> OnceForAll:
    pool = PoolSpec.of(pruning_rates=[0.0, 0.5], resolutions=resolutions, rules=MaskRules(1, 1))
    return OnceForAll(model, pool=pool, step=StepSpec(**step))


def test_a_pool_and_arrays_of_its_short_form_are_one_too_many() -> None:
    pool = PoolSpec.of(pruning_rates=[0.0, 0.5], resolutions=[8])
    with pytest.raises(ValueError, match="Expected a pool or the short form of one"):
        OnceForAll(classifier(), pool=pool, resolutions=np.array([8, 6]))


ACCEPTED: dict[str, Callable[[], keras.Model]] = {
    "sequential": lambda: keras.Sequential([keras.Input(IMAGE), classifier()]),
    "of_one_image_in_a_dict": in_dicts,
    "log_softmax": lambda: classifier(ops.log_softmax),
    "sigmoid_before_the_logits": lambda: classifier(lambda x: layers.Dense(3)(ops.sigmoid(x))),
    "scaled_sigmoid": lambda: classifier(lambda x: ops.sigmoid(x) * 20.0 - 10.0),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_ends_in_logits_is_accepted_and_made_functional(name: str) -> None:
    supernet = trainer(ACCEPTED[name]()).supernet
    assert (supernet.input.shape, supernet.output.shape) == ((None, None, None, 3), (None, 3))


@pytest.mark.parametrize("form", [(6, 8, 8), (6, 8, 8, 1)], ids=str)
def test_a_gray_model_with_a_gray_teacher_learns_from_gray_arrays_what_rgb_ones_teach_it(form: Any) -> None:
    gray = np.random.default_rng(0).uniform(0, 255, form).astype("float32")
    losses, answers = [], []
    for images in (gray, np.stack([gray.reshape(6, 8, 8)] * 3, axis=-1)):
        keras.utils.set_random_seed(1)
        model, teacher = classifier(shape=(None, None, 1)), classifier(shape=(8, 8, 1))
        in_rgb = images is not gray
        model = OnceForAll(
            model,
            pool=PoolSpec.of(pruning_rates=[0.0, 0.5], resolutions=(8,), rules=MaskRules(1, 1)),
            teacher=as_classifier(teacher, reference="the teacher") if in_rgb else teacher,
        )
        model.compile(keras.optimizers.SGD(0.1))
        history = model.fit(images, np.arange(6) % 3, batch_size=3, callbacks=[MaskSearch(epochs=1)], verbose=0)
        losses.append(history.history["teacher_loss"])
        answers.append(np.asarray(model(images, training=False)))
    np.testing.assert_allclose(*losses, rtol=1e-5)
    np.testing.assert_allclose(*answers, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["resolutions", "search_resolutions", "training_resolutions"])
def test_every_list_of_resolutions_is_checked_against_the_stride(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^Expected {name} for net of at least 2, its stride\. Received: 1\.$"):
        trainer(classifier(), **{name: (8, 1)})


def test_a_fixed_size_is_the_only_resolution() -> None:
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, layers.Dense(3)(layers.Flatten()(body(image))), name="net")
    trainer(model)
    with pytest.raises(ValueError, match=r"^Expected resolutions for net of exactly 8, its fixed input size\."):
        trainer(model, resolutions=(8, 4))


def test_frozen_layers_are_named(caplog: pytest.LogCaptureFixture) -> None:
    trainer(classifier())
    assert "frozen" not in caplog.text
    model = classifier()
    model.layers[2].trainable = False
    trainer(model)
    assert "1 of 3 layers with weights are frozen (trainable=False), conv2d" in caplog.text


@pytest.fixture
def settings() -> Iterator[None]:
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_a_model_of_another_format_trains_in_float32_while_its_policy_is_in_force(policy: str, settings: None) -> None:
    keras.config.set_floatx(keras.DTypePolicy(policy).variable_dtype)
    keras.config.set_dtype_policy(policy)
    model = trainer(classifier())
    model.compile(keras.optimizers.SGD(0.01))
    images, labels = np.random.default_rng(0).uniform(0, 255, (8, 8, 8, 3)).astype("float32"), np.arange(8) % 3
    history = model.fit(images, labels, batch_size=4, epochs=3, callbacks=[MaskSearch(epochs=1)], verbose=0)
    assert np.isfinite(history.history["teacher_loss"]).all()
    assert {weight.dtype for weight in model.supernet.weights} == {"float32"}


def test_what_is_kept_beside_the_supernet_is_float32_whatever_keras_is_set_to(settings: None) -> None:
    keras.config.set_floatx("float16")
    pool = PoolSpec.of(pruning_rates=(0.0, 0.5), resolutions=(8,), importance="taylor")
    model = OnceForAll(classifier(), pool=pool, step=StepSpec(batch_norm="switchable"))
    model.compile(keras.optimizers.SGD(0.01))
    images, labels = np.random.default_rng(0).uniform(0, 255, (8, 8, 8, 3)).astype("uint8"), np.arange(8) % 3
    model.fit(images, labels, batch_size=4, epochs=2, callbacks=[MaskSearch(epochs=1)], verbose=0)
    assert model.own_variables and model.sensitivity is not None
    kept = [*model.own_variables, model.sensitivity, *(each for metric in model.metrics for each in metric.variables)]
    assert {variable.dtype for variable in kept} == {"float32"}


class Passed(layers.Layer):
    def call(self, x: Any, training: bool | None = None) -> Any:  # Two ways, so that it is not opened.
        return x + 0.0 if training else x


def unregistered_function(x: Any) -> Any:
    return ops.relu(x)


@pytest.mark.parametrize("layer", [Passed(), layers.Activation(unregistered_function)], ids=["class", "function"])
def test_layers_and_activations_that_nobody_registered_are_found_by_their_names(layer: Any) -> None:
    image = keras.Input(IMAGE)
    network = keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(body(layer(image)))))
    model = OnceForAll(network, pruning_rates=(0.0, 0.5), resolutions=(32,))
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(copy) is type(layer)
    assert model.groups.size == 8


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        (Demanding(2.0), r"^Expected layers of yours that can be read from a file.*unexpected keyword argument"),
        (
            layers.Lambda(lambda x: np.random.random() * x),
            r"^Expected layers that can be copied.*Received: Lambda .*Python lambda",
        ),
    ],
    ids=["class", "lambda"],
)
def test_what_could_not_be_exported_is_refused_before_training(layer: Any, line: str) -> None:
    with pytest.raises(ValueError, match=line) as caught:
        OnceForAll(with_layer(layer), pruning_rates=(0.0, 0.5), resolutions=(32,))
    assert "\n" not in str(caught.value)
