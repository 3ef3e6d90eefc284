import gc
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from ofar_tf import models
from ofar_tf.pruning.channel_groups import UnprunableChannels, find_channel_groups


def _block(x: Any, filters: int, name: str) -> Any:
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    return layers.ReLU()(layers.BatchNormalization(name=f"{name}_bn")(x))


def _residual() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = _block(inputs, 4, "stem")
    x = layers.Add(name="sum")([x, _block(_block(x, 6, "inner"), 4, "last")])
    return keras.Model(inputs, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(x)))


def test_a_group_says_what_it_spans_and_what_ranks_it() -> None:
    model = _residual()
    (group,) = find_channel_groups(model).groups
    assert (group.name, group.start, group.size) == ("inner", 0, 6)
    assert group.layers == ("inner", "inner_bn", "last")
    assert [model.weights[index].path for index in group.gammas] == ["inner_bn/gamma"]
    assert group.channels == slice(0, 6)


def test_what_always_stays_comes_with_its_reason() -> None:
    assert find_channel_groups(_residual()).unprunable == (
        UnprunableChannels("input", 3, "it is an input of the model"),
        UnprunableChannels("stem", 4, "it is part of the residual stream"),
        UnprunableChannels("logits", 2, "it is an output of the model"),
    )


def test_the_stem_before_a_projection_shortcut_belongs_to_the_residual_stream() -> None:
    inputs = keras.Input((8, 8, 3))
    x = _block(_block(inputs, 4, "first"), 4, "stem")
    branch = layers.BatchNormalization()(layers.Conv2D(6, 1, name="last")(_block(x, 5, "inner")))
    shortcut = layers.BatchNormalization()(layers.Conv2D(6, 1, name="shortcut")(x))
    x = layers.ReLU()(layers.Add()([branch, shortcut]))
    groups = find_channel_groups(keras.Model(inputs, layers.Dense(2)(x)))
    assert [group.name for group in groups.groups] == ["first", "inner"]


def test_channels_tied_by_a_sum_are_one_group_when_the_residual_stream_is_pruned() -> None:
    model = _residual()
    stem, inner = find_channel_groups(model, prune_residual_stream=True).groups
    assert (stem.name, stem.size, inner.name, inner.size) == ("stem", 4, "inner", 6)
    assert stem.layers == ("stem", "stem_bn", "inner", "last", "last_bn", "logits")
    assert [model.weights[index].path for index in stem.gammas] == ["stem_bn/gamma", "last_bn/gamma"]


def test_every_axis_of_a_weight_knows_its_channels() -> None:
    groups = find_channel_groups(_residual())
    entries = {entry.path: entry for entry in groups.weights}
    assert {path for path, entry in entries.items() if entry.axes} == {
        "inner/kernel",
        *(f"inner_bn/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")),
        "last/kernel",
    }
    np.testing.assert_array_equal(entries["inner/kernel"].axes[3], np.arange(6))
    np.testing.assert_array_equal(entries["last/kernel"].axes[2], np.arange(6))


def test_a_concatenated_axis_marks_the_segments_that_stay() -> None:
    inputs = keras.Input((8, 8, 3))
    x = layers.Concatenate()([inputs, _block(inputs, 2, "a"), _block(inputs, 2, "b")])
    x = layers.Conv2D(4, 1, name="reader")(x)
    groups = find_channel_groups(keras.Model(inputs, x))
    entry = next(entry for entry in groups.weights if entry.path == "reader/kernel")
    assert entry.axes[2][:3].tolist() == [4, 4, 4]
    assert sorted(entry.axes[2][3:].tolist()) == [0, 1, 2, 3]


def test_hidden_and_depthwise_channels_of_mobilenet_v2_are_one_group() -> None:
    groups = find_channel_groups(models.build("mobilenet_v2", classes=10)).groups
    # One group for each of 16 expanded blocks, one for the stem with the depthwise convolution of block 1, one head.
    assert [group.size for group in groups] == [
        32, 96, 144, 144, 192, 192, 192, 384, 384, 384, 384, 576, 576, 576, 960, 960, 960, 1280,
    ]  # fmt: skip
    assert groups[1].layers == (
        "block_2_expand", "block_2_expand_bn", "block_2_depthwise", "block_2_depthwise_bn", "block_2_project",
    )  # fmt: skip
    assert [len(group.gammas) for group in groups] == [2] * 17 + [1]


def test_equal_names_in_nested_models_are_told_apart() -> None:
    inputs = keras.Input((8, 8, 3))
    x = inputs
    for _ in range(2):
        inner = keras.Input((8, 8, x.shape[-1]))
        x = keras.Model(inner, _block(inner, 4, "conv"))(x)
    x = _block(x, 4, "conv_2")
    groups = find_channel_groups(keras.Model(inputs, layers.Dense(2)(x)))
    assert [group.name for group in groups.groups] == ["conv", "conv_2", "conv_2_2"]


def test_finding_groups_neither_changes_nor_copies_the_model() -> None:
    model = _residual()
    weights, nodes = model.get_weights(), [len(layer._inbound_nodes) for layer in model.layers]
    gc.collect()
    groups = find_channel_groups(model)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert [len(layer._inbound_nodes) for layer in model.layers] == nodes
    kernels = [call.operation.kernel for call in groups.calls if hasattr(call.operation, "kernel")]
    assert kernels and all(kernel._value is None for kernel in kernels)


def test_a_model_that_is_all_residual_stream_is_refused_with_the_way_on():
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, padding="same")(image)
    x = layers.Add()([x, layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(x)))])
    model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    with pytest.raises(
        ValueError, match=r"it is part of the residual stream.*; prune_residual_stream would give more\)"
    ):
        find_channel_groups(model)


def plain_network(*, normed: bool) -> keras.Model:
    """What most people write first: convolutions with a bias, pools, a hidden dense layer."""
    image = keras.Input((8, 8, 3))
    x = layers.BatchNormalization()(image)  # It sees what cannot be pruned.
    for filters in (4, 6):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv{filters}")(x)
        x = layers.MaxPooling2D()(layers.BatchNormalization()(x) if normed else x)
    x = layers.Dense(5, activation="relu", name="hidden")(layers.Flatten()(x))
    return keras.Model(image, layers.Dense(2, name="logits")(layers.Dropout(0.5)(x)), name="plain")


def test_where_no_batch_norm_ranks_a_channel_the_kernels_rank_all(caplog: pytest.LogCaptureFixture) -> None:
    groups = find_channel_groups(plain_network(normed=False))
    assert [(group.name, group.size, group.gammas) for group in groups.groups] == [
        ("conv4", 4, ()),
        ("conv6", 6, ()),
        ("hidden", 5, ()),
    ]
    made = [[(groups.weights[weight].path, axis) for weight, axis in group.kernels] for group in groups.groups]
    assert made == [[("conv4/kernel", 3)], [("conv6/kernel", 3)], [("hidden/kernel", 1)]]
    assert caplog.messages == ["No BatchNormalization ranks the channels of plain: the norms of their filters do."]
    assert [group.name for group in find_channel_groups(plain_network(normed=False), excluded=["conv4"]).groups] == [
        "conv6",
        "hidden",
    ]


def test_where_batch_norms_rank_some_channels_the_others_stay(caplog: pytest.LogCaptureFixture) -> None:
    assert [group.name for group in find_channel_groups(plain_network(normed=True)).groups] == ["conv4", "conv6"]
    assert not caplog.messages
    with pytest.raises(ValueError, match=r"can be pruned.*it was excluded by hand"):
        find_channel_groups(plain_network(normed=True), excluded=["conv4", "conv6"])


@pytest.mark.parametrize(
    "pool", [layers.MaxPooling2D(), layers.GlobalMaxPooling2D(keepdims=True), lambda x: keras.ops.max_pool(x, 2)]
)
def test_a_kernel_that_reads_the_largest_of_several_numbers_reads_no_residual_stream(pool: Any) -> None:
    image = keras.Input((8, 8, 3))
    x = pool(layers.BatchNormalization()(layers.Conv2D(4, 3)(image)))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(6, 1)(x)))
    model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    assert [group.size for group in find_channel_groups(model).groups] == [4, 6]


def test_a_chain_of_linear_layers_without_a_sum_holds_no_residual_stream() -> None:
    image = x = keras.Input((8, 8, 3))
    for filters in (4, 6):
        x = layers.BatchNormalization()(layers.Conv2D(filters, 3)(x))
    model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    assert [group.size for group in find_channel_groups(model).groups] == [4, 6]


def test_a_model_that_nothing_ranks_is_refused_with_the_reasons() -> None:
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.ReLU()(layers.Conv2D(4, 3)(inputs)), name="plain")
    expected = (
        "Expected a model with channels that can be pruned. Received: 'plain', which has none (it is an input of the "
        "model; it is an output of the model)."
    )
    with pytest.raises(ValueError) as caught:
        find_channel_groups(model)
    assert str(caught.value) == expected


def test_inception_v3_whose_norms_have_no_scale_can_be_pruned_whole() -> None:
    model = keras.applications.InceptionV3(weights=None, input_shape=(75, 75, 3), classes=10)
    groups = find_channel_groups(model)
    # 94 convolutions with a norm each; nothing stays but images and logits.
    assert len(groups.groups) == 94 and all(group.kernels and not group.gammas for group in groups.groups)
    assert [entry.name for entry in groups.unprunable] == ["input", "predictions"]


def test_a_function_of_one_tensor_added_to_it_is_no_residual_stream() -> None:
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, padding="same", name="stem")(image)
    x = layers.Add(name="sum")([x, layers.ReLU()(layers.BatchNormalization()(x))])
    (group,) = find_channel_groups(keras.Model(image, layers.Dense(2)(x))).groups
    assert (group.name, group.size) == ("stem", 8)
    assert "Add 'sum' joins no branch that runs past a block" in group.notes


def test_a_part_of_the_residual_stream_says_which_sum_makes_it_one() -> None:
    (stem,) = [entry for entry in find_channel_groups(_residual()).unprunable if entry.name == "stem"]
    assert stem.notes == ("Add 'sum' joins what comes through a block with what runs past it",)


def test_a_layer_between_kernels_is_named_even_if_no_norm_ranks_what_it_keeps(caplog: pytest.LogCaptureFixture) -> None:
    inputs = keras.Input((8, 8, 3))
    x = layers.Activation("softmax", name="soft")(layers.Conv2D(4, 3)(_block(inputs, 4, "stem")))
    groups = find_channel_groups(keras.Model(inputs, layers.Dense(2)(_block(x, 4, "last"))))
    assert [group.name for group in groups.groups] == ["stem", "last"]
    (record,) = caplog.records
    assert record.getMessage() == "Activation 'soft' may couple channels: 4 channels cannot be pruned."
