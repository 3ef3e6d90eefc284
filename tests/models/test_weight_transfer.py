import re
from pathlib import Path

import keras
import numpy as np
import pytest

from ofar_tf.models.weight_transfer import Transfer, WeightFile, take_weights, weighted_layers

layers = keras.layers
# Keras 3.15 writes weights with a NumPy call that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def network(
    *, classes: int | None = 3, filters: tuple[int, ...] = (4, 5), prefix: str = "", value: float = 0.0
) -> keras.Model:
    x = inputs = keras.Input((None, None, 3))
    for index, count in enumerate(filters):
        x = layers.Conv2D(count, 3, name=f"{prefix}conv{index}")(x)
        x = layers.BatchNormalization(name=f"{prefix}norm{index}")(x)
    if classes:
        x = layers.Dense(classes, name=f"{prefix}logits")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x, name="net")
    model.set_weights([np.full(weight.shape, value + i) for i, weight in enumerate(model.weights)])
    return model


def layers_of(model: keras.Model) -> dict[str, list[np.ndarray]]:
    return {name: layer.get_weights() for name, layer in weighted_layers(model)}


def assert_body_equals(model: keras.Model, source: keras.Model) -> None:
    for weight, expected in zip(model.weights[:12], source.weights[:12], strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_the_same_network_gives_all_its_weights():
    model, source = network(), network(value=100.0)
    transfer = take_weights(model, layers_of(source), source="s")
    assert transfer.taken == ("conv0", "norm0", "conv1", "norm1", "logits")
    assert transfer.fresh == ()
    for weight, expected in zip(model.weights, source.weights, strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("classes", [1000, None])
@pytest.mark.parametrize("prefix", ["", "other_"])
def test_a_head_of_other_classes_or_none_leaves_the_own_one_whatever_layers_are_called(classes, prefix):
    model, source = network(), network(classes=classes, prefix=prefix, value=100.0)
    transfer = take_weights(model, layers_of(source), source="s")
    assert transfer.fresh == ("logits",)
    assert_body_equals(model, source)
    assert model.get_layer("logits").bias.numpy().tolist() == [13.0, 13.0, 13.0]  # The 14th weight, as it was.


def test_names_that_are_shifted_do_not_mix_up_layers_of_the_same_order():
    # As Keras numbers layers on over all networks of a process: conv1 of this file is the other network's conv0.
    source = layers_of(network(filters=(3, 3), value=100.0))
    shifted = dict(zip(("conv1", "norm1", "conv2", "norm2", "logits"), source.values(), strict=True))
    model = network(filters=(3, 3))
    take_weights(model, shifted, source="s")
    np.testing.assert_array_equal(model.get_layer("conv0").kernel, source["conv0"][0])
    np.testing.assert_array_equal(model.get_layer("conv1").kernel, source["conv1"][0])


def test_a_network_with_another_layer_in_it_gives_what_fits_by_name():
    model, source = network(filters=(4, 5, 6)), network(filters=(4, 5, 7), value=100.0)
    transfer = take_weights(model, layers_of(source), source="s")
    assert transfer.fresh == ("conv2", "norm2", "logits")
    assert_body_equals(model, source)


def test_a_different_network_is_refused_and_nothing_changed():
    model = network()
    before = model.get_weights()
    with pytest.raises(
        ValueError, match=r"Expected weights of a network like net\. Received: s, which fits 0 of its 5 layers\."
    ):
        take_weights(model, layers_of(network(filters=(7, 9), classes=2)), source="s")
    for weight, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize(
    ("fresh", "sentence"),
    [
        ((), "2 of 2 layers start from f.keras; begin anew: none."),
        (("c",), "2 of 3 layers start from f.keras; begin anew: c."),
        (("c", "d", "e", "f", "g"), "2 of 7 layers start from f.keras; begin anew: c, d, e and 2 others."),
    ],
)
def test_a_transfer_says_what_was_taken(fresh, sentence):
    assert Transfer(("a", "b"), fresh).describe("f.keras") == sentence


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
@pytest.mark.parametrize("classes", [3, 1000])
def test_either_kind_of_file_gives_what_fits(ending, classes, tmp_path):
    model, source = network(), network(classes=classes, value=100.0)
    path = str(tmp_path / f"s{ending}")
    (source.save if ending == ".keras" else source.save_weights)(path)
    transfer = WeightFile(path).give_to(model)
    assert transfer.fresh == (() if classes == 3 else ("logits",))
    assert_body_equals(model, source)
    assert np.isfinite(model.get_layer("logits").kernel).all()


def test_a_checkpoint_of_a_different_network_changes_nothing(tmp_path):
    model = network()
    before = model.get_weights()
    network(filters=(9, 7), classes=2).save_weights(tmp_path / "s.weights.h5")
    with pytest.raises(ValueError, match="which fits 0 of its 5 layers"):
        WeightFile(str(tmp_path / "s.weights.h5")).give_to(model)
    for weight, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_a_damaged_file_is_refused_in_one_line_and_changes_nothing(ending, tmp_path):
    path = tmp_path / f"s{ending}"
    path.write_text("no weights")
    model = network()
    with pytest.raises(ValueError, match=rf"Received: {re.escape(str(path))}") as error:
        WeightFile(str(path)).give_to(model)
    assert "\n" not in str(error.value)
    assert np.isfinite(model.get_weights()[0]).all()


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_a_file_knows_its_layers_without_weights(ending, tmp_path):
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, layers.Conv2D(2, 1)(layers.Rescaling(0.5, name="rescaling")(inputs)))
    for name, each in (("with", model), ("without", network())):
        path = str(tmp_path / f"{name}{ending}")
        (each.save if ending == ".keras" else each.save_weights)(path)
        assert WeightFile(path).holds_layer("rescaling") == (name == "with")


def test_a_missing_file_and_other_kinds_are_named(tmp_path: Path):
    with pytest.raises(
        FileNotFoundError, match=r"Expected a file of weights\. Received: none\.keras, which does not exist"
    ):
        WeightFile("none.keras")
    with pytest.raises(ValueError, match=r"Expected weights in a \.keras or \.weights\.h5 file\. Received: 'x\.pth'\."):
        WeightFile("x.pth")
