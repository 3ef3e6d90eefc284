"""Multiply-adds of what the library does not know, by hand."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
import tensorflow as tf
from keras import layers, ops

from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.graph_macs import count_macs


class Derived(layers.Conv2D):
    """May compute anything; here it convolves twice."""

    def call(self, inputs: Any) -> Any:
        return super().call(inputs) + super().call(inputs)


class InAFunction(layers.Layer):
    """Convolves in a graph of its own."""

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(3, 3, shape[-1], 7))

    @tf.function
    def call(self, inputs: Any) -> Any:
        return tf.nn.conv2d(inputs, self.kernel, 1, "SAME")

    def compute_output_shape(self, shape: Any) -> Any:
        return (*shape[:-1], 7)


class Composite(layers.Layer):
    """Holds layers, one of them random, and one that runs in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.drop, self.extra = layers.Conv2D(5, 1), layers.Dropout(0.5), layers.Conv2D(5, 3, padding="same")

    def build(self, shape: Any) -> None:
        self.conv.build(shape)
        self.extra.build((*shape[:-1], 5))

    def call(self, inputs: Any, training: bool = False) -> Any:
        outputs = self.drop(self.conv(inputs), training=training)
        return self.extra(outputs) if training else outputs


# Inputs of 8 x 8 positions and 4 channels, or 6 steps of 4 numbers.
MAP, STEPS = (1, 8, 8, 4), (1, 6, 4)
CASES: dict[str, tuple[Callable[[Any], Any], tuple[int, ...], int]] = {
    "spectral_normalization": (layers.SpectralNormalization(layers.Conv2D(6, 3)), MAP, 36 * 9 * 4 * 6),
    "a_class_derived_from_conv2d": (Derived(6, 3, padding="same"), MAP, 2 * 64 * 9 * 4 * 6),
    "grouped": (Derived(6, 3, padding="same", groups=2), MAP, 2 * 64 * 9 * 2 * 6),
    "a_function_of_its_own": (InAFunction(), MAP, 64 * 9 * 4 * 7),
    "composite": (Composite(), MAP, 64 * 4 * 5),
    "transposed": (layers.SpectralNormalization(layers.Conv2DTranspose(6, 3, strides=2)), MAP, 64 * 9 * 4 * 6),
    "time_distributed": (layers.TimeDistributed(layers.Dense(3)), STEPS, 6 * 4 * 3),
    "einsum_dense": (layers.EinsumDense("abc,cd->abd", output_shape=(6, 5)), STEPS, 6 * 4 * 5),
    # Queries, keys, values and the output: 4 numbers to 2 heads of 3 and back; scores and their sums: 6 x 6 x 3, twice.
    "attention": (lambda x: layers.MultiHeadAttention(2, 3)(x, x), STEPS, 4 * 6 * 4 * 6 + 2 * 2 * 6 * 6 * 3),
    "matmul": (lambda x: ops.matmul(x, ops.transpose(x, (0, 2, 1))), STEPS, 6 * 4 * 6),
    "dot": (lambda x: layers.Dot(axes=1)([x, x]), STEPS, 4 * 6 * 4),
    "einsum": (lambda x: ops.einsum("abc,adc->abd", x, x), STEPS, 6 * 6 * 4),
    "nothing": (layers.LayerNormalization(), STEPS, 0),
}


@pytest.mark.parametrize("name", CASES)
def test_multiply_adds_by_hand(name: str) -> None:
    layer, shape, expected = CASES[name]
    inputs = keras.Input(batch_shape=shape)
    model = keras.Model(inputs, layer(inputs))
    found = [count_macs(each, *_arguments(each)) for each in model.operations[1:]]
    assert sum(macs for macs, _ in found) == expected
    assert not any(uncounted for _, uncounted in found)


def _arguments(operation: Any) -> tuple[Any, Any]:
    arguments = operation._inbound_nodes[0].arguments
    return arguments.args, arguments.kwargs


def test_what_a_loop_multiplies_is_named_and_not_counted(caplog: pytest.LogCaptureFixture) -> None:
    image = keras.Input((8, 8, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 1)(image)))
    x = layers.Reshape((64, 3))(layers.Conv2D(3, 1)(x))
    x = layers.LSTM(5, name="recurrent")(x)
    groups = find_channel_groups(keras.Model(image, layers.Dense(2)(x)))
    macs = Costs(groups).macs(ChannelMask.full(groups), 8)
    assert macs >= 64 * (3 * 4 + 4 * 3) + 5 * 2
    assert "LSTM 'recurrent': the multiply-adds of 1 StatelessWhile are not counted" in caplog.text


def test_macs_of_layers_without_a_rule_count_in_full_whatever_is_pruned(random_mask: Any) -> None:
    image = keras.Input((None, None, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 1, name="first")(image)))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 1, name="second")(x)))
    x = layers.SpectralNormalization(layers.Conv2D(6, 3, padding="same"))(x)
    groups = find_channel_groups(keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))))
    mask = random_mask(groups, 0.5)
    kept = int(mask.keep.sum())
    assert kept < 8 == groups.size
    for pixels in (64, 100):
        assert Costs(groups).macs(mask, round(pixels**0.5)) == pixels * (3 * kept + kept * 4 + 9 * 4 * 6) + 6 * 2


def test_a_model_of_a_fixed_size_has_no_macs_at_another() -> None:
    image = keras.Input((16, 16, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 1)(image)))
    groups = find_channel_groups(keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))))
    costs, full = Costs(groups), ChannelMask.full(groups)
    assert costs.macs(full, 16) == 256 * 3 * 4 + 4 * 2
    message = r"^Expected resolution=16, the model's fixed input size\. Received: 32\.$"
    with pytest.raises(ValueError, match=message):
        costs.macs(full, 32)
