"""The law of the suite, over networks that are drawn: masked and sliced runs are equal."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from keras import layers

from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.costs import Costs

SIZE = 6


def _images() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(4, SIZE, SIZE, 3))


def _block(x: Any, filters: int) -> Any:
    return layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(x)))


class _RandomNetwork:
    """Grows a network from choices: every tensor has the same height and width, so that any two can meet."""

    def __init__(self, choose: Callable[[int], int]):
        self._choose = choose
        inputs = keras.Input((SIZE, SIZE, 3))
        self._tensors = [_block(inputs, 4)]
        self._shared = [layers.Conv2D(4, 1), layers.BatchNormalization()]
        for _ in range(2 + choose(5)):
            self._tensors.append(self._grow())
        self._tensors.append(_block(self._pick(), 4))
        ends = [layers.GlobalAveragePooling2D()(tensor) for tensor in self._tensors[-3:]]
        outputs = [layers.Dense(2)(layers.Concatenate()(ends)), layers.Dense(2)(layers.Flatten()(self._tensors[-1]))]
        self.model = keras.Model(inputs, outputs[: 1 + choose(2)])

    def _pick(self) -> Any:
        return self._tensors[self._choose(len(self._tensors))]

    def _grow(self) -> Any:
        x, other = self._pick(), self._pick()
        kinds = [self._convolve, self._depthwise, self._merge, self._concatenate, self._gate, self._share, self._pool]
        return kinds[self._choose(len(kinds))](x, other)

    def _finish(self, x: Any) -> Any:
        if self._choose(4):
            x = layers.BatchNormalization(scale=bool(self._choose(4)), center=bool(self._choose(4)))(x)
        return layers.Activation(["relu", "sigmoid", "linear", "tanh"][self._choose(4)])(x)

    def _convolve(self, x: Any, _: Any) -> Any:
        groups = 2 if x.shape[-1] % 2 == 0 and self._choose(3) == 0 else 1
        return self._finish(layers.Conv2D([4, 6][self._choose(2)], 3, padding="same", groups=groups)(x))

    def _depthwise(self, x: Any, _: Any) -> Any:
        return self._finish(layers.DepthwiseConv2D(3, padding="same", depth_multiplier=1 + self._choose(2))(x))

    def _merge(self, x: Any, other: Any) -> Any:
        if x.shape[-1] != other.shape[-1]:
            other = self._finish(layers.Conv2D(x.shape[-1], 1)(other))
        kinds = [layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum]
        return kinds[self._choose(len(kinds))]()([x, other])

    def _concatenate(self, x: Any, other: Any) -> Any:
        return layers.Concatenate()([x, other, x][: 2 + self._choose(2)])

    def _gate(self, x: Any, other: Any) -> Any:
        gate = layers.Dense(x.shape[-1], activation="sigmoid")(layers.GlobalAveragePooling2D()(other))
        return layers.Multiply()([x, gate])

    def _share(self, x: Any, _: Any) -> Any:
        convolution, norm = self._shared
        if convolution.built and convolution.kernel.shape[2] != x.shape[-1]:
            x = self._finish(layers.Conv2D(convolution.kernel.shape[2], 1)(x))
        return layers.ReLU()(norm(convolution(x)))

    def _pool(self, x: Any, _: Any) -> Any:
        return layers.MaxPooling2D(3, strides=1, padding="same")(x)


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_masked_and_sliced_runs_of_random_networks_are_equal(
    data: Any, double_precision: None, randomize: Any, random_mask: Any, check_masked_is_sliced: Any
) -> None:
    choices = data.draw(st.lists(st.integers(0, 59), min_size=60, max_size=60), label="choices")
    network = _RandomNetwork(lambda options: choices.pop() % options if choices else 0).model
    randomize(network, _images())
    stream = data.draw(st.booleans(), label="prune residual stream")
    try:
        groups = find_channel_groups(network, prune_residual_stream=stream)
    except ValueError as error:
        assert "which has none" in str(error) and not stream
        reject()
    mask = random_mask(groups, data.draw(st.sampled_from([0.2, 0.5, 0.8]), label="rate"))
    subnet = check_masked_is_sliced(network, groups, mask, images=_images())
    assert Costs(groups).params(mask) == subnet.count_params()
