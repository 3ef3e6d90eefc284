"""Layers of the user's that make one tensor of several are followed where they take each channel by itself."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.costs import Costs

SIZE = 6


class DroppedBranch(layers.Layer):
    """A shortcut, and a block that is left out of some images."""

    def __init__(self, rate: float = 0.5, **kwargs: Any):
        super().__init__(**kwargs)
        self.rate = rate

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        shortcut, block = inputs
        if not training:
            return tf.add(shortcut, (1.0 - self.rate) * block)
        kept = tf.random.uniform((tf.shape(block)[0], 1, 1, 1)) < 1.0 - self.rate
        return tf.add(shortcut, block * tf.cast(kept, block.dtype))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}


class ReZero(layers.Layer):
    """One weight for a whole branch, which begins at zero, and tensors one by one."""

    def build(self, *shapes: Any) -> None:
        self.alpha = self.add_weight(name="alpha", shape=(), initializer="zeros")

    def call(self, shortcut: Any, block: Any) -> Any:
        return tf.add(shortcut, self.alpha * block)


class WeightedSum(layers.Layer):
    """The fast normalized fusion of BiFPN: a weight for each tensor."""

    def build(self, shapes: Any) -> None:
        self.shares = self.add_weight(name="shares", shape=(len(shapes),), initializer="ones")

    def call(self, inputs: Any) -> Any:
        shares = tf.nn.relu(self.shares)
        return tf.add_n([share * each for share, each in zip(tf.unstack(shares), inputs, strict=True)]) / (
            tf.reduce_sum(shares) + 1e-4
        )


class ScaledBranch(layers.Layer):
    """A scale for each channel of a branch."""

    def build(self, shapes: Any) -> None:
        self.scale = self.add_weight(name="scale", shape=(shapes[0][-1],), initializer="zeros")

    def call(self, inputs: Any) -> Any:
        return tf.add(inputs[0], self.scale * inputs[1])


class Of(layers.Layer):
    """A function of several tensors."""

    def __init__(self, function: Callable[..., Any], **kwargs: Any):
        super().__init__(**kwargs)
        self.function = function

    def call(self, *inputs: Any) -> Any:
        return self.function(*inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "function": self.function}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Of":
        return cls(**config)


def _block(x: Any, filters: int) -> Any:
    return layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(x)))


def _residual(merge: Callable[[Any, Any], Any]) -> keras.Model:
    image = keras.Input((SIZE, SIZE, 3))
    stream = _block(image, 8)
    merged = merge(stream, _block(_block(stream, 6), 8))
    return keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(_block(merged, 5))))


def _gated(function: Callable[..., Any], *, channels: int) -> keras.Model:
    image = keras.Input((SIZE, SIZE, 3))
    x = _block(image, 8)
    gate = layers.Dense(channels)(layers.GlobalAveragePooling2D(keepdims=True)(x))
    merged = Of(function)(x, gate if channels > 1 else layers.Conv2D(1, 3, padding="same")(x))
    return keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(_block(merged, 5))))


SUMS = {
    "dropped_branch": lambda x, y: DroppedBranch()([x, y]),
    "re_zero": lambda x, y: ReZero()(x, y),
    "weighted_sum": lambda x, y: WeightedSum()([x, y, x]),
    "scaled_branch": lambda x, y: ScaledBranch()([x, y]),
    "rectified": lambda x, y: Of(lambda x, y: tf.nn.relu(tf.add(x, y)))(x, y),
}


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("name", SUMS)
def test_a_sum_is_followed_and_joins_the_residual_stream(
    name: str, randomize: Any, random_mask: Any, check_masked_is_sliced: Any
) -> None:
    images = np.random.default_rng(3).normal(size=(4, SIZE, SIZE, 3))
    network = randomize(_residual(SUMS[name]), images)
    assert [group.size for group in find_channel_groups(network).groups] == [6, 5]
    groups = find_channel_groups(network, prune_residual_stream=True)
    assert sorted(group.size for group in groups.groups) == [5, 6, 8]
    mask = random_mask(groups, 0.5, seed=1)
    subnet = check_masked_is_sliced(network, groups, mask, images=images)
    # By hand of the narrow one: 3 x 3 kernels at 36 positions, and the classes.
    kept = {group.size: mask.keep[group.start : group.start + group.size].sum() for group in groups.groups}
    first, inner, last = kept[8], kept[6], kept[5]
    by_hand = 36 * 9 * (3 * first + 2 * first * inner + first * last) + 2 * last
    assert Costs(groups).macs(mask, SIZE) == by_hand
    assert subnet.count_params() == Costs(groups).params(mask)


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("channels", [8, 1])
def test_a_gate_is_followed_and_joins_no_stream(
    channels: int, randomize: Any, random_mask: Any, check_masked_is_sliced: Any
) -> None:
    images = np.random.default_rng(3).normal(size=(4, SIZE, SIZE, 3))
    network = randomize(_gated(lambda x, gate: x * tf.math.sigmoid(gate), channels=channels), images)
    groups = find_channel_groups(network)
    assert [group.size for group in groups.groups] == [8, 5]
    check_masked_is_sliced(network, groups, random_mask(groups, 0.5, seed=1), images=images)


KEPT = {
    "coupled": lambda x, y: tf.add(x, tf.reduce_mean(y, axis=-1, keepdims=True)),
    "other_channels": lambda x, y: tf.add(x, tf.roll(y, 1, axis=-1)),
    "no_slope": lambda x, y: tf.sqrt(x * x + y * y),
    "a_kernel": lambda x, y: tf.add(x, tf.nn.depthwise_conv2d(y, tf.ones((3, 3, y.shape[-1], 1)), [1] * 4, "SAME")),
    "it_raises": lambda x, y: tf.ensure_shape(tf.add(x, y), (None, None, None, 8)),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_is_made_of_other_channels_too_is_kept_with_a_warning(name: str, caplog: pytest.LogCaptureFixture) -> None:
    groups = find_channel_groups(_residual(lambda x, y: Of(KEPT[name])(x, y)), prune_residual_stream=True)
    assert [group.size for group in groups.groups] == [6, 5]
    (message,) = caplog.messages
    assert message.startswith("Of 'of' is unknown to the library: ")
    # The others can be opened.
    assert message.endswith(" It stays closed: Keras has no operation for EnsureShape.") == (name == "it_raises")


def test_which_tensors_are_one_is_part_of_what_is_tried() -> None:
    scaled = Of(lambda x, y, z: tf.add(x, y * z))
    # x + y * x is a gate on x, beside which no stream runs; in x + y * y the stream x runs past the block y.
    assert [g.size for g in find_channel_groups(_residual(lambda x, y: scaled(x, y, x))).groups] == [8, 6, 5]
    again = Of(scaled.function)
    assert [g.size for g in find_channel_groups(_residual(lambda x, y: again(x, y, y))).groups] == [6, 5]
