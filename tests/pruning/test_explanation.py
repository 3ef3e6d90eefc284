"""What `--explain` says of a small residual network, with numbers by hand."""

from typing import Any

import keras
import pytest
from keras import layers

from ofar_tf.pruning.channel_groups import ChannelGroups, find_channel_groups
from ofar_tf.pruning.explanation import explain, explain_groups, explain_rest


def _block(x: Any, filters: int, name: str, *, scale: bool = True) -> Any:
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    return layers.ReLU()(layers.BatchNormalization(scale=scale, name=f"{name}_bn")(x))


@pytest.fixture
def groups() -> ChannelGroups:
    inputs = keras.Input((8, 8, 3))
    x = _block(inputs, 4, "stem")
    x = layers.Add(name="sum")([x, _block(_block(x, 6, "inner", scale=False), 4, "last")])
    return find_channel_groups(keras.Model(inputs, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(x))))


def test_a_group_says_what_it_costs_what_ranks_it_and_why_it_can_be_pruned(groups: ChannelGroups) -> None:
    (inner,) = explain_groups(groups, resolution=8)
    # 64 positions of 3 x 3 kernels, 4 -> 6 and 6 -> 4.
    assert (inner.name, inner.channels, inner.macs) == ("inner", 6, 2 * 64 * 9 * 24)
    assert inner.norms == ("inner",), "its BatchNorm has no scale, so the kernel that feeds it ranks it"
    assert inner.why == ("it comes out of one kernel and goes into the next",)


def test_what_keeps_most_comes_first_and_the_kept_macs_add_up(groups: ChannelGroups) -> None:
    rest = explain_rest(groups, resolution=8)
    # The stem's 64 x 27 x 4 are kept by images and stem, the 8 of the logits by stem and logits: half each.
    stem, logits = 64 * 27 * 4 / 2, 8 / 2
    assert [(entry.name, entry.macs) for entry in rest] == [
        ("stem", stem + logits),
        ("input", stem),
        ("logits", logits),
    ]
    assert rest[0].reason == "it is part of the residual stream"
    assert rest[0].why == ("Add 'sum' joins what comes through a block with what runs past it",)


def test_the_share_of_macs_that_can_be_pruned_is_printed(groups: ChannelGroups) -> None:
    # 27,648 of 34,568.
    assert "80.0% of the 34.6K MACs at 8 px can be pruned." in str(explain(groups, resolution=8))


class Scaled(layers.Layer):
    """Computes with all channels, and scales its branch by a weight of its own."""

    def __init__(self, channels: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.channels, self.wide, self.narrow = channels, layers.Dense(4 * channels, "gelu"), layers.Dense(channels)
        self.norm = layers.LayerNormalization()

    def build(self, shape: Any) -> None:
        self.gamma = self.add_weight(shape=(self.channels,), initializer="ones")

    def call(self, x: Any) -> Any:
        return x + keras.ops.cumsum(self.gamma) * self.narrow(self.wide(self.norm(x)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "channels": self.channels}


def test_what_stays_closed_says_what_stands_in_the_way(caplog: pytest.LogCaptureFixture) -> None:
    inputs = keras.Input((8, 8, 3))
    x = Scaled(4, name="two")(Scaled(4, name="one")(_block(inputs, 4, "stem")))
    found = find_channel_groups(keras.Model(inputs, layers.Dense(2)(_block(x, 4, "last"))))
    why = "its call itself uses weight 'gamma', which no layer inside applies"
    (message,) = caplog.messages
    assert message.endswith(f": 4 channels cannot be pruned. It stays closed: {why}.")
    rest = {entry.name: entry for entry in explain_rest(found, resolution=8)}
    assert rest["layers unknown to the library"].macs == 64 * 2 * (4 * 16 + 16 * 4)
    assert rest["layers unknown to the library"].why == (f"Scaled 'one' stays closed: {why}",)
    assert f"Scaled 'two' stays closed: {why}" in rest["two"].why


def test_layers_that_the_library_does_not_know_keep_what_they_compute() -> None:
    inputs = keras.Input((8, 8, 3))
    x = layers.SpectralNormalization(layers.Conv2D(4, 1, use_bias=False))(_block(inputs, 4, "stem"))
    found = find_channel_groups(keras.Model(inputs, layers.Dense(2)(_block(x, 4, "last"))))
    entry = next(each for each in explain_rest(found, resolution=8) if not each.channels)
    assert entry.macs >= 64 * 4 * 4
