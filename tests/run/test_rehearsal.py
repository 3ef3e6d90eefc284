import random
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules, mask_without
from ofar_tf.run.rehearsal import rehearse_cutting, rehearse_saving
from ofar_tf.text.size import Size
from tests.demanding_layer import Demanding

register = keras.saving.register_keras_serializable("test_rehearsal")


@register
class Half(keras.layers.Layer):
    """A layer as it should be."""

    def call(self, x: Any) -> Any:
        return x * 0.5


@register
class Forgetful(keras.layers.Layer):
    """Computes with a number that is neither a weight nor in its config."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor = random.uniform(1, 2)

    def call(self, x: Any) -> Any:
        return x * self.factor


@register
class Noisy(keras.layers.Layer):
    """Gives something else each time, by what TFLite has an operator for."""

    def call(self, x: Any) -> Any:
        return x + tf.random.normal(tf.shape(x))


class Unknown(keras.layers.Layer):
    """Nobody registered it."""

    def call(self, x: Any) -> Any:
        return x


def network(*layers: Any) -> keras.Model:
    image = keras.Input((None, None, 3))
    x = image
    for layer in (keras.layers.Rescaling(1 / 255), *layers):
        x = layer(x)
    x = keras.layers.Conv2D(8, 3, use_bias=False)(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    return keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)), name="mine")


def a_mask(model: keras.Model) -> ChannelMask:
    groups = find_channel_groups(model)
    return mask_without(groups.groups, np.arange(groups.size), 4, rules=MaskRules(1, 1))


@pytest.mark.parametrize("layer", [Half, Noisy])
def test_a_network_that_can_be_shipped_passes_and_is_left_as_it_was(layer: Any) -> None:
    model = network(layer())
    mask = a_mask(model)
    before = [np.array(weight) for weight in model.weights]
    random.seed(5)
    expected = random.random()
    random.seed(5)
    rehearse_saving(model, size=Size(12, 12))
    rehearse_cutting(model, mask, size=Size(12, 12), find_groups=find_channel_groups)
    assert random.random() == expected  # What is built afterwards draws the same seeds.
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        ([Forgetful()], r"^Expected mine to give the same outputs when it was saved and read back.* Received: a diff"),
        ([Demanding(2.0)], r"^Expected a network that can be (saved|read back)\. Received: mine: "),
        ([Unknown()], r"^Expected a network that can be read back\. Received: mine: "),
        ([keras.layers.Lambda(lambda x: x * 2.0)], r"^Expected a network that can be read back\. .*[Ll]ambda"),
    ],
    ids=["forgetful", "demanding", "unknown", "lambda"],
)
def test_a_network_that_could_not_be_shipped_is_refused_in_one_line(layers: list[Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        rehearse_saving(network(*layers), size=Size(12, 12))
    assert "\n" not in str(caught.value)


def test_a_network_whose_structure_cannot_be_cut_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    groups = find_channel_groups(model)
    mask = ChannelMask.full(groups)

    def none_left(again: keras.Model) -> Any:
        found = find_channel_groups(again)
        return type(found)((), *[getattr(found, name) for name in list(found.__dataclass_fields__)[1:]])

    with pytest.raises(ValueError, match=r"^Expected the same channel groups in mine when it is saved and read\."):
        rehearse_cutting(model, mask, size=Size(12, 12), find_groups=none_left)


def test_a_network_that_tflite_has_no_operators_for_is_refused_before_it_is_trained() -> None:
    supernet = network(keras.layers.UpSampling2D(2, interpolation="bicubic"))
    groups = find_channel_groups(supernet)
    sentence = r"^Expected .* operators for\. Received: mine, with .*\(ResizeBicubic\), which none of them computes\.$"
    with pytest.raises(ValueError, match=sentence):
        rehearse_cutting(supernet, ChannelMask.full(groups), size=Size.of(16), find_groups=find_channel_groups)
