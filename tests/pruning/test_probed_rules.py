"""Layers of the user's that have no weights are followed where they take each channel by itself."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.subnet import extract_subnet

SIZE = 6


class StochasticDepth(layers.Layer):
    """As most people write it; with a seed of Keras' or without."""

    def __init__(self, rate: float = 0.5, seeded: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.rate, self.seeded = rate, seeded
        self.seed = keras.random.SeedGenerator(1) if seeded else None

    def call(self, x: Any, training: bool | None = None) -> Any:
        if not training:
            return x
        shape = (tf.shape(x)[0], 1, 1, 1)
        draw = keras.random.uniform(shape, seed=self.seed) if self.seeded else tf.random.uniform(shape)
        return x / (1.0 - self.rate) * tf.floor(1.0 - self.rate + draw)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seeded": self.seeded}


class Of(layers.Layer):
    """A function of TensorFlow's that Keras has no operation for."""

    def __init__(self, function: Callable[[Any], Any], **kwargs: Any):
        super().__init__(**kwargs)
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "function": self.function}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Of":
        return cls(**config)


class CoupledInTraining(Of):
    def __init__(self, **kwargs: Any):
        super().__init__(lambda x: tf.nn.l2_normalize(x, axis=-1))

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.function(x) if training else x


def _grid(x: Any) -> Any:
    """Coordinates as CoordConv has them, at sizes that are known when it runs."""
    count, height, width = (tf.shape(x)[axis] for axis in range(3))
    rows, columns = (tf.linspace(-1.0, 1.0, size) for size in (height, width))
    return tf.tile(tf.stack(tf.meshgrid(rows, columns, indexing="ij"), axis=-1)[None], [count, 1, 1, 1])


def _block(x: Any, filters: int) -> Any:
    return layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(x)))


def _network(layer: Any, *, before: Callable[[Any], Any] = lambda x: _block(x, 8)) -> keras.Model:
    image = keras.Input((SIZE, SIZE, 3))
    x = layer(before(image))
    x = layers.GlobalAveragePooling2D()(_block(x, 5)) if len(x.shape) == 4 else x
    return keras.Model(image, layers.Dense(2)(x))


FOLLOWED = {
    "stochastic_depth": lambda: StochasticDepth(),
    "seeded": lambda: StochasticDepth(seeded=True),
    "that_hardly_draws": lambda: StochasticDepth(0.01),
    "activation": lambda: Of(lambda x: tf.math.asinh(x) + 1.0),
    "coordinates": lambda: Of(lambda x: tf.concat([x, _grid(x)], axis=-1)),
    "coordinates_in_front": lambda: Of(lambda x: tf.concat([_grid(x), x], axis=-1)),
    "pool": lambda: Of(lambda x: tf.reduce_mean(tf.math.cumsum(x, axis=1), axis=[1, 2])),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_what_takes_each_channel_by_itself_is_followed(name: str, randomize: Any, random_mask: Any) -> None:
    images = np.random.default_rng(3).normal(size=(4, SIZE, SIZE, 3)).astype("float32")
    network = randomize(_network(FOLLOWED[name]()), images)
    groups = find_channel_groups(network)
    assert groups.groups[0].size == 8
    mask = random_mask(groups, 0.5, seed=1)
    assert not mask.keep.all()
    whole = np.asarray(network(images, training=False))
    for weight, entry in zip(network.weights, groups.weights, strict=True):  # Masked, in place.
        value = np.asarray(weight).copy()
        for axis, channels in entry.axes.items():
            value[(slice(None),) * axis + (~np.append(mask.keep, True)[channels],)] = 0.0
        if weight.name not in ("moving_mean", "moving_variance"):
            weight.assign(value)
    masked = np.asarray(network(images, training=False))
    np.testing.assert_allclose(extract_subnet(network, groups, mask)(images), masked, rtol=1e-4, atol=1e-5)
    assert np.abs(masked - whole).max() > 1e-3


KEPT = {
    "coupled": lambda: Of(lambda x: tf.nn.l2_normalize(x, axis=-1)),
    "positions_of_channels": lambda: Of(lambda x: x * tf.constant([1.0, 2.0] * 4)),
    "neighbours": lambda: Of(lambda x: tf.roll(x, 1, axis=-1)),
    "more_channels": lambda: Of(lambda x: tf.tile(x, [1, 1, 1, 2])),
    "a_mean_beside_them": lambda: Of(lambda x: tf.concat([x, tf.reduce_mean(x, axis=-1, keepdims=True)], axis=-1)),
    "their_number_beside_them": lambda: Of(lambda x: tf.pad(x, [[0, 0]] * 3 + [[0, 1]], constant_values=x.shape[-1])),
    "coupled_in_training": CoupledInTraining,
    "no_slope": lambda: Of(lambda x: tf.sqrt(tf.abs(x))),
    "a_kernel": lambda: Of(lambda x: tf.nn.depthwise_conv2d(x, tf.ones((3, 3, x.shape[-1], 1)), [1, 1, 1, 1], "SAME")),
    "it_raises": lambda: Of(lambda x: tf.ensure_shape(x, (None, None, None, 8))),
}


WHY = {"coupled_in_training": " It stays closed: its call does something else in training than in inference."}


@pytest.mark.parametrize("name", KEPT)
def test_what_does_not_is_kept_with_a_warning(name: str, caplog: pytest.LogCaptureFixture) -> None:
    groups = find_channel_groups(_network(KEPT[name]()))
    assert [group.size for group in groups.groups] == [5]
    layer = next(call.operation for call in groups.calls if isinstance(call.operation, Of))
    title = f"{type(layer).__name__} {layer.name!r}"
    why = WHY.get(name, "")
    assert caplog.messages == [f"{title} is unknown to the library: 8 channels cannot be pruned.{why}"]


def test_the_multiply_adds_of_a_layer_that_is_kept_are_counted() -> None:
    groups = find_channel_groups(_network(KEPT["a_kernel"]()))
    # 3 x 3 kernels on 36 positions: 3 -> 8, 8 channels by themselves, 8 -> 5; then 5 -> 2.
    assert Costs(groups).macs(ChannelMask.full(groups), SIZE) == 36 * 9 * (3 * 8 + 8 + 8 * 5) + 5 * 2


def _linear(x: Any) -> Any:
    return layers.BatchNormalization()(layers.Conv2D(8, 1)(_block(x, 7)))


@pytest.mark.parametrize(("layer", "sizes"), [(StochasticDepth(), [7, 5]), (Of(tf.math.asinh), [7, 8, 5])])
def test_a_linear_bottleneck_behind_it_stays_one(layer: Any, sizes: list[int]) -> None:
    def body(x: Any) -> Any:
        y = _linear(x)
        return y + _linear(layers.ReLU()(y))

    image = keras.Input((SIZE, SIZE, 3))
    x = layers.BatchNormalization()(layers.Conv2D(8, 1)(_block(body(image), 7)))
    x = _block(layer(x), 5)
    model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    assert [group.size for group in find_channel_groups(model).groups][-len(sizes) :] == sizes
