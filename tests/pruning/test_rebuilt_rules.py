"""Layers of the user's that hold weights are followed where a narrow one gives what the masked one gives."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.slicing import mask_array
from ofar_tf.pruning.subnet import extract_subnet

SIZE = 6


class LayerScale(layers.Layer):
    """As keras.io has it: the configuration states the number of channels."""

    def __init__(self, init_values: float, projection_dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.init_values, self.projection_dim = init_values, projection_dim

    def build(self, shape: Any) -> None:
        start = keras.initializers.Constant(self.init_values)
        self.gamma = self.add_weight(shape=(self.projection_dim,), initializer=start)

    def call(self, x: Any) -> Any:
        return x * self.gamma

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "init_values": self.init_values, "projection_dim": self.projection_dim}


class Affine(layers.Layer):
    """ResMLP's, whose weights are of the shape of what it is called on."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(1, 1, shape[-1]), initializer="ones", name="scale")
        self.shift = self.add_weight(shape=(1, 1, shape[-1]), initializer="zeros", name="shift")

    def call(self, x: Any) -> Any:
        return x * self.scale + self.shift


class FrozenNorm(layers.BatchNormalization):
    """As YOLO's ports have it."""

    def call(self, x: Any, training: bool = False) -> Any:
        return super().call(x, training=bool(training) and self.trainable)


class InstanceNorm(Affine):
    def call(self, x: Any) -> Any:
        mean, variance = ops.moments(x, axes=[1, 2], keepdims=True)
        return super().call((x - mean) * ops.rsqrt(variance + 1e-3))


class StandardizedConv(layers.Conv2D):
    """BiT's: each filter has mean zero and variance one over all that it reads."""

    def convolution_op(self, x: Any, kernel: Any) -> Any:
        mean, variance = ops.moments(kernel, axes=[0, 1, 2], keepdims=True)
        return super().convolution_op(x, (kernel - mean) * ops.rsqrt(variance + 1e-5))


class ReflectedConv(layers.Conv2D):
    def call(self, x: Any) -> Any:
        return super().call(ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="reflect"))


class OwnConv(layers.Layer):
    def __init__(self, planes: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.planes = planes

    def build(self, shape: Any) -> None:
        self.w = self.add_weight(shape=(3, 3, shape[-1], self.planes), name="w")
        self.gain = self.add_weight(shape=(self.planes,), initializer="ones", name="gain")

    def call(self, x: Any) -> Any:
        return ops.conv(x, self.w, padding="same") * self.gain

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "planes": self.planes}


class Gate(layers.Layer):
    """Squeeze and excitation with weights of its own, through a fixed number of channels."""

    def build(self, shape: Any) -> None:
        self.down = self.add_weight(shape=(shape[-1], 3), name="down")
        self.up = self.add_weight(shape=(3, shape[-1]), name="up")

    def call(self, x: Any) -> Any:
        pooled = ops.relu(ops.matmul(ops.mean(x, axis=(1, 2)), self.down))
        return x * ops.sigmoid(ops.matmul(pooled, self.up))[:, None, None, :]


class ResponseNorm(Affine):
    """ConvNeXt V2's: what it divides by is a mean over all channels. Its scale starts at zero."""

    def build(self, shape: Any) -> None:
        super().build(shape)
        self.scale.assign(ops.zeros_like(self.scale))

    def call(self, x: Any) -> Any:
        norm = ops.sqrt(ops.sum(x**2, axis=(1, 2), keepdims=True))
        return super().call(x * norm / (ops.mean(norm, axis=-1, keepdims=True) + 1e-6)) + x


class FlooredResponseNorm(Affine):
    """Has a slope also for a map that is zero."""

    def call(self, x: Any) -> Any:
        norm = ops.sqrt(ops.sum(x**2, axis=(1, 2), keepdims=True) + 1e-6)
        return super().call(x * norm / (ops.mean(norm, axis=-1, keepdims=True) + 1e-6)) + x


class HalvedGate(Gate):
    """Its inner channels follow the outer ones."""

    def build(self, shape: Any) -> None:
        self.down = self.add_weight(shape=(shape[-1], shape[-1] // 2), name="down")
        self.up = self.add_weight(shape=(shape[-1] // 2, shape[-1]), name="up")


class TrainedOtherwise(Affine):
    def call(self, x: Any, training: bool = False) -> Any:
        return super().call(x * ops.mean(x, axis=-1, keepdims=True) if training else x)


class Wide(Affine):
    """Its configuration does not say for how many channels it is made."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.table = self.add_weight(shape=(8,), name="table")

    def call(self, x: Any) -> Any:
        return super().call(x) * self.table


def _block(x: Any, filters: int, *, conv: Any = layers.Conv2D, kernel: int = 3) -> Any:
    return layers.ReLU()(layers.BatchNormalization()(conv(filters, kernel, padding="same")(x)))


def _network(middle: Callable[[Any], Any]) -> keras.Model:
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.GlobalAveragePooling2D()(_block(middle(image), 5))
    return keras.Model(image, layers.Dense(2)(x))


def _behind(layer: Any) -> Callable[[Any], Any]:
    return lambda x: layer(_block(x, 8))


def _normed(norm: Any) -> Callable[[Any], Any]:
    return lambda x: layers.ReLU()(norm(layers.Conv2D(8, 3, padding="same")(x)))


def _convolved(layer: Any) -> Callable[[Any], Any]:
    return lambda x: layers.ReLU()(layers.BatchNormalization()(layer(_block(x, 8))))


# What is in the middle, and the sizes of the groups before the last.
FOLLOWED: dict[str, tuple[Callable[[], Any], list[int]]] = {
    "layer_scale": (lambda: _behind(LayerScale(0.1, 8)), [8]),
    "affine": (lambda: _behind(Affine()), [8]),
    "norm_with_a_call": (lambda: _normed(FrozenNorm()), [8]),
    "norm_without_a_scale": (lambda: _normed(FrozenNorm(scale=False)), [8]),
    "instance_norm": (lambda: _behind(InstanceNorm()), [8]),
    "gate": (lambda: _behind(Gate()), [8]),
    "standardized_makes_but_does_not_read": (lambda: _convolved(StandardizedConv(7, 3, padding="same")), [7]),
    "reflected_convolution": (lambda: _convolved(ReflectedConv(7, 3)), [8, 7]),
    "as_many_out_as_in": (lambda: _convolved(ReflectedConv(8, 3)), [8, 8]),
    "own_convolution": (lambda: _convolved(OwnConv(7)), [8, 7]),
    "layer_norm": (lambda: _behind(layers.LayerNormalization()), [8]),
    "response_norm": (lambda: _behind(FlooredResponseNorm()), [8]),
    "inner_channels_that_follow": (lambda: _behind(HalvedGate()), [8]),
    "coupled_in_training": (lambda: _behind(TrainedOtherwise()), [8]),
    "a_number_in_the_code": (lambda: _behind(Wide()), [8]),
    "of_keras_that_reads": (lambda: _behind(layers.EinsumDense("abcd,de->abce", (None, None, 7))), [8]),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_what_can_be_narrower_is_and_gives_what_the_masked_network_gives(
    name: str, randomize: Any, random_mask: Any
) -> None:
    make, sizes = FOLLOWED[name]
    images = np.random.default_rng(3).normal(size=(4, SIZE, SIZE, 3)).astype("float32")
    network = randomize(_network(make()), images)
    groups = find_channel_groups(network)
    assert [group.size for group in groups.groups] == [*sizes, 5]
    whole = np.asarray(network(images, training=False))
    for rate in (0.3, 0.6):
        mask = random_mask(groups, rate, seed=1)
        subnet = extract_subnet(network, groups, mask)
        assert Costs(groups).params(mask) == subnet.count_params()
        masked = keras.models.clone_model(network)
        for weight, given, entry in zip(masked.weights, network.weights, groups.weights, strict=True):
            is_moment = weight.name.startswith("moving_")
            weight.assign(given if is_moment else mask_array(np.asarray(given), entry, mask))
        expected = np.asarray(masked(images, training=False))
        np.testing.assert_allclose(subnet(images), expected, rtol=1e-3, atol=1e-4)
        assert np.abs(expected - whole).max() > 1e-3


def test_what_has_no_slope_where_all_is_zero_stays_whole_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    groups = find_channel_groups(_network(_behind(ResponseNorm(name="norm"))))
    assert [group.size for group in groups.groups] == [5]
    words = "ResponseNorm 'norm' has no finite value or slope at zero, which channels are once pruned: 8 channels"
    assert words in caplog.text
