from typing import ClassVar

import keras
import pytest
import tensorflow as tf

from ofar_tf.devices.full_float32 import full_float32
from ofar_tf.evaluation.trained_pool import TrainedPool
from ofar_tf.family import family_export
from ofar_tf.models.free_size import with_free_size
from ofar_tf.models.user_model import as_classifier
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.run.rehearsal import rehearse_cutting, rehearse_saving
from ofar_tf.text.size import Size

shortened = tf.config.experimental.tensor_float_32_execution_enabled


@pytest.fixture(params=[True, False])
def setting(request):
    before = shortened()
    tf.config.experimental.enable_tensor_float_32_execution(request.param)
    yield request.param
    tf.config.experimental.enable_tensor_float_32_execution(before)


def test_products_are_exact_inside_and_as_before_afterwards(setting):
    with full_float32():
        assert not shortened()
    assert shortened() is setting


def test_the_setting_comes_back_after_an_error(setting):
    with pytest.raises(RuntimeError, match="inside"), full_float32():
        raise RuntimeError("inside")
    assert shortened() is setting


class Spy:
    """Notes how products are computed when it is first used, and ends the work."""

    def __init__(self):
        self.seen = []

    def __getattr__(self, name):
        self.seen.append(shortened())
        raise LookupError(name)

    def __iter__(self):
        self.seen.append(shortened())
        raise LookupError


def test_networks_are_measured_in_full_float32():
    pool = Spy()
    with pytest.raises(LookupError):
        TrainedPool.evaluate(pool)
    assert pool.seen == [False]


def test_networks_are_compared_with_their_files_in_full_float32():
    anything = Spy()
    arguments = dict.fromkeys(("task", "folder", "labels", "header", "images", "spec"), anything)
    with pytest.raises(LookupError):
        family_export.export_family(anything, **arguments)
    assert anything.seen == [False]


@keras.saving.register_keras_serializable("full_float32")
class Seen(keras.layers.Layer):
    """Notes how products are computed whenever it is given numbers."""

    shortened: ClassVar[list[bool]] = []

    def call(self, inputs):
        if tf.executing_eagerly() and not isinstance(inputs, keras.KerasTensor):
            self.shortened.append(shortened())
        return tf.nn.relu(inputs)


@keras.saving.register_keras_serializable("full_float32")
class Block(keras.layers.Layer):
    """A layer of the user's that holds others, which the library opens and tries."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.convolution, self.seen = keras.layers.Conv2D(8, 3, padding="same"), Seen()

    def build(self, shape):
        self.convolution.build(shape)

    def call(self, inputs):
        return self.seen(self.convolution(inputs))


def classifier(*, size=None, layer=Seen):
    image = keras.Input((size, size, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(16, 3, use_bias=False)(image))
    x = keras.layers.GlobalAveragePooling2D()(layer()(x))
    return keras.Model(image, keras.layers.Dense(4)(x))


def cut(network):
    mask = ChannelMask.full(find_channel_groups(network))
    rehearse_cutting(network, mask, size=Size.of(16), find_groups=find_channel_groups)


TRIALS = {
    "whether another size can be had": lambda: with_free_size(classifier(size=16), reference="it"),
    "which channels belong together": lambda: find_channel_groups(classifier()),
    "what is within a layer": lambda: as_classifier(classifier(layer=Block), reference="it"),
    "what is saved and read": lambda: rehearse_saving(classifier(), size=Size.of(16)),
    "what is cut out": lambda: cut(classifier()),
}


@pytest.mark.parametrize("setting", [True], indirect=True)
@pytest.mark.parametrize("trial", TRIALS)
def test_what_decides_by_numbers_tries_layers_in_full_float32(setting, trial):
    # On an H100 with shortened products, a layer that could be narrower was said to give other numbers.
    Seen.shortened.clear()
    TRIALS[trial]()
    assert Seen.shortened
    assert not any(Seen.shortened)
