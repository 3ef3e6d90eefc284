import keras
import numpy as np
import pytest

from ofar_tf.models.head import head_weights, with_new_head

layers = keras.layers
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")


def body(x):
    x = layers.Conv2D(4, 3, padding="same", name="conv")(x)
    return layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))


def model_of(*tail, name="net") -> keras.Model:
    x = inputs = keras.Input((None, None, 3))
    x = body(x)
    for layer in tail:
        x = layer(x)
    return keras.Model(inputs, x, name=name)


def pooled(model: keras.Model) -> np.ndarray:
    return np.asarray(keras.Model(model.inputs[0], model.get_layer("relu").output)(IMAGES)).mean((1, 2))


HEADS = {
    "dense": (
        [layers.GlobalAveragePooling2D, lambda: layers.Dense(1000, name="old")],
        "Dense 'old' of 1000 outputs was",
    ),
    "dense_softmax": (
        [layers.GlobalAveragePooling2D, lambda: layers.Dense(9, activation="softmax", name="old")],
        "Dense 'old' of 9 outputs was",
    ),
    "softmax_layer": (
        [layers.GlobalAveragePooling2D, lambda: layers.Dense(9, name="old"), layers.Softmax],
        "Dense 'old' of 9 outputs was",
    ),
    "convolution": (
        [
            lambda: layers.GlobalAveragePooling2D(keepdims=True),
            lambda: layers.Conv2D(9, 1, name="old"),
            layers.Flatten,
            lambda: layers.Activation("softmax"),
        ],
        "Conv2D 'old' of 9 outputs was",
    ),
    "fully_convolutional": (
        [lambda: layers.Conv2D(9, 1, name="old"), layers.ReLU, layers.GlobalAveragePooling2D, layers.Softmax],
        "Conv2D 'old' of 9 outputs was",
    ),
    "pooled_body": (
        [lambda: layers.GlobalAveragePooling2D(name="pool")],
        "it had no head, a dense layer of 5 logits was put behind 'pool'",
    ),
    "body": ([], "it had no head, a dense layer of 5 logits was put behind 'relu'"),
}


@pytest.mark.parametrize("kind", HEADS)
def test_the_head_is_replaced_and_the_body_stays(kind):
    tail, change = HEADS[kind]
    old = model_of(*(make() for make in tail))
    new = with_new_head(old, classes=5)
    assert new.change.startswith(change)
    assert "\n" not in new.change
    assert new.model.output_shape == (None, 5)
    assert new.model.name == "net"
    assert "old" not in [layer.name for layer in new.model.layers]
    head = new.model.layers[-1]
    assert (head.name, head.activation) == ("logits", keras.activations.linear)
    np.testing.assert_allclose(
        new.model(IMAGES), pooled(old) @ np.asarray(head.kernel) + np.asarray(head.bias), rtol=1e-5, atol=1e-5
    )
    assert new.model.get_layer("conv") is old.get_layer("conv")


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_a_network_with_a_new_head_survives_its_file(tmp_path):
    new = with_new_head(model_of(layers.GlobalAveragePooling2D(), layers.Dense(9)), classes=5).model
    new.save(tmp_path / "new.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "new.keras")(IMAGES), new(IMAGES))


@pytest.mark.parametrize(("dropout", "rates"), [(None, [0.5]), (0.2, [0.2]), (0.0, [])])
def test_dropout_before_the_head_stays_unless_another_is_given(dropout, rates):
    old = model_of(layers.GlobalAveragePooling2D(), layers.Dropout(0.5), layers.Dense(9))
    new = with_new_head(old, classes=5, dropout=dropout).model
    assert [layer.rate for layer in new.layers if isinstance(layer, layers.Dropout)] == rates


def test_a_name_that_is_taken_in_the_middle_is_not_taken_again():
    old = model_of(
        layers.Conv2D(4, 3, name="logits"),
        layers.BatchNormalization(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(9),
    )
    assert with_new_head(old, classes=5).model.layers[-1].name == "new_logits"


def test_a_hidden_dense_layer_stays():
    old = model_of(layers.GlobalAveragePooling2D(), layers.Dense(6, activation="relu", name="hidden"), layers.Dense(9))
    assert with_new_head(old, classes=5).model.get_layer("hidden").units == 6


def test_a_model_of_several_outputs_is_refused():
    model = model_of(layers.GlobalAveragePooling2D(), layers.Dense(9))
    both = keras.Model(model.input, [model.output, model.get_layer("relu").output], name="both")
    with pytest.raises(ValueError, match=r"Expected a model with one output\. Received: both with 2\."):
        with_new_head(both, classes=5)


def test_the_head_of_a_network_is_its_last_kernel_or_all_that_lies_behind_its_body():
    model = model_of(layers.GlobalAveragePooling2D(), layers.Dense(5, name="neck_a"), layers.ReLU(), layers.Dense(2))
    assert [weight.path for weight in head_weights(model)] == [weight.path for weight in model.layers[-1].weights]
    behind = head_weights(model, outside=["neck_*", model.layers[-1].name])
    assert [weight.shape for weight in behind] == [(4, 5), (5,), (5, 2), (2,)]


def test_a_network_without_a_last_kernel_has_no_head():
    with pytest.raises(ValueError, match="Expected a network that ends with a dense layer"):
        head_weights(model_of())
