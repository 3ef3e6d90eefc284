"""Each kind of layer in a network of its own: what it prunes runs masked as it runs sliced, and costs what it says."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.costs import Costs

SIZE = 6


def _images(batch: int = 4) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(batch, SIZE, SIZE, 3))


def _block(x: Any, filters: int, **arguments: Any) -> Any:
    x = layers.Conv2D(filters, 3, padding="same", **arguments)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def _network(body: Callable[[Any], Any]) -> keras.Model:
    """Eight ranked channels, the body, and a head; the body's channels reach the head through a ranked block."""
    inputs = keras.Input((SIZE, SIZE, 3))
    x = body(_block(inputs, 8))
    x = _block(x, 6) if len(x.shape) == 4 else x
    x = layers.GlobalAveragePooling2D()(x) if len(x.shape) == 4 else x
    return keras.Model(inputs, layers.Dense(3)(x))


def _gate(x: Any) -> Any:
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(4, 1, activation="relu")(gate)
    return layers.Multiply()([layers.Conv2D(x.shape[-1], 1, activation="sigmoid")(gate), x])


def _dense_gate(x: Any) -> Any:
    gate = layers.Dense(x.shape[-1], activation="hard_sigmoid")(layers.GlobalAveragePooling2D()(x))
    return layers.Multiply()([x, layers.Reshape((1, 1, x.shape[-1]))(gate)])


def _neighbours(x: Any) -> Any:
    channels = layers.Permute((2, 1))(layers.Reshape((1, 8))(layers.GlobalAveragePooling2D()(x)))
    gate = layers.Conv1D(1, 3, padding="same", activation="sigmoid", name="eca")(channels)
    return layers.Multiply()([x, layers.Reshape((1, 1, 8))(layers.Permute((2, 1))(gate))])


def _context(x: Any) -> Any:
    weights = layers.Softmax()(layers.Reshape((1, SIZE * SIZE))(layers.Conv2D(1, 1)(x)))
    context = keras.ops.matmul(weights, layers.Reshape((SIZE * SIZE, 8))(x))
    return x * layers.Conv2D(8, 1, activation="sigmoid")(layers.Reshape((1, 1, 8))(context))


def _attention(x: Any) -> Any:
    queries, keys, values = (
        layers.Reshape((SIZE * SIZE, 2, 3))(layers.BatchNormalization()(layers.Dense(6)(x))) for _ in range(3)
    )
    scores = keras.ops.matmul(keras.ops.transpose(queries, (0, 2, 1, 3)), keras.ops.transpose(keys, (0, 2, 3, 1)))
    attended = keras.ops.matmul(keras.ops.softmax(0.5 * scores), keras.ops.transpose(values, (0, 2, 1, 3)))
    return layers.Reshape((SIZE, SIZE, 6))(keras.ops.transpose(attended, (0, 2, 1, 3)))


def _similarities(x: Any) -> Any:
    rows = [layers.Reshape((SIZE * SIZE, 8))(each) for each in (x, _block(x, 8))]
    return layers.Reshape((SIZE, SIZE, SIZE * SIZE))(layers.Dot(axes=-1, normalize=True)(rows))


def _called_twice(x: Any) -> Any:
    convolution, norm = layers.Conv2D(8, 3, padding="same"), layers.BatchNormalization()
    return layers.ReLU()(norm(convolution(layers.ReLU()(norm(convolution(x))))))


def _reshaped_twice(x: Any) -> Any:
    reshape = layers.Reshape((SIZE * SIZE, 8))
    return layers.Flatten()(layers.Add()([reshape(x), reshape(_block(x, 8))]))


def _nested(x: Any) -> Any:
    inputs = keras.Input(x.shape[1:])
    inner = keras.Model(inputs, [_block(inputs, 5), _block(inputs, 7)])
    sequence = keras.Sequential([layers.Conv2D(9, 1), layers.BatchNormalization(), layers.ReLU()])
    return layers.Concatenate()([sequence(x), *inner(x), *inner(layers.ReLU()(x))])


def _nested_sharing_a_layer(x: Any) -> Any:
    shared = layers.Conv2D(8, 1)
    inputs = keras.Input(x.shape[1:])
    inner = keras.Model(inputs, layers.ReLU()(layers.BatchNormalization()(shared(inputs))))
    return inner(layers.ReLU()(layers.BatchNormalization()(shared(x))))


# Name -> (body, how many channels can be pruned beside or of the 8 + 6 of the frame).
PRUNABLE: dict[str, tuple[Callable[[Any], Any], int]] = {
    "convolution": (lambda x: _block(x, 10), 24),
    "dilated": (lambda x: _block(x, 10, dilation_rate=2), 24),
    "without_bias": (lambda x: _block(x, 10, use_bias=False), 24),
    # 8 input channels in 2 groups leave 4 decisions, 12 filters leave 6.
    "grouped": (lambda x: _block(x, 12, groups=2), 4 + 6 + 6),
    "grouped_as_depthwise": (lambda x: _block(x, 16, groups=8), 14),
    "depthwise": (lambda x: layers.ReLU()(layers.DepthwiseConv2D(3)(x)), 14),
    "depthwise_alone": (lambda x: layers.DepthwiseConv2D(3, use_bias=False)(x), 14),
    "depthwise_multiplied": (
        lambda x: layers.ReLU()(layers.BatchNormalization()(layers.DepthwiseConv2D(3, depth_multiplier=2)(x))),
        14,
    ),
    "separable": (
        lambda x: layers.ReLU()(layers.BatchNormalization()(layers.SeparableConv2D(10, 3, depth_multiplier=2)(x))),
        24,
    ),
    "transposed": (
        lambda x: layers.ReLU()(layers.BatchNormalization()(layers.Conv2DTranspose(10, 3, strides=2)(x))),
        24,
    ),
    "dense_on_maps": (lambda x: layers.ReLU()(layers.BatchNormalization()(layers.Dense(10)(x))), 24),
    "norm_without_scale": (lambda x: layers.ReLU()(layers.BatchNormalization(scale=False)(x)), 14),
    "norm_without_centre": (lambda x: layers.ReLU()(layers.BatchNormalization(center=False)(x)), 14),
    # Four groups of two leave 4 decisions.
    "norm_of_groups": (lambda x: layers.ReLU()(layers.GroupNormalization(4)(x)), 4 + 6),
    "norm_of_each_channel": (lambda x: layers.ReLU()(layers.GroupNormalization(-1)(x)), 14),
    "norm_of_groups_without_scale": (lambda x: layers.GroupNormalization(4, scale=False)(x), 4 + 6),
    "norm_of_all_channels": (lambda x: layers.ReLU()(layers.LayerNormalization()(x)), 14),
    "norm_of_a_whole_map": (lambda x: layers.LayerNormalization(axis=[1, 2, 3])(x), 14),
    "norm_of_vectors": (lambda x: layers.LayerNormalization()(layers.GlobalAveragePooling2D()(x)), 8),
    "norm_of_one_group": (lambda x: layers.ReLU()(layers.GroupNormalization(1)(x)), 14),
    "prelu": (lambda x: layers.PReLU()(x), 14),
    "prelu_per_channel": (lambda x: layers.PReLU(shared_axes=[1, 2])(x), 14),
    "prelu_single": (lambda x: layers.PReLU(shared_axes=[1, 2, 3])(x), 14),
    "activations_of_zero_that_are_not_zero": (lambda x: layers.Activation("softplus")(x), 14),
    "activation_layers": (lambda x: layers.LeakyReLU()(layers.ELU()(x)), 14),
    "add": (lambda x: layers.Add()([x, _block(x, 8)]), 14),
    "subtract": (lambda x: layers.Subtract()([x, _block(x, 8)]), 14),
    "average": (lambda x: layers.Average()([x, _block(x, 8)]), 14),
    "maximum": (lambda x: layers.Maximum()([x, _block(x, 8)]), 14),
    "minimum": (lambda x: layers.Minimum()([x, _block(x, 8)]), 14),
    "multiply": (lambda x: layers.Multiply()([x, _block(x, 8)]), 14),
    "squeeze_and_excitation": (_gate, 14),
    "dense_gate": (_dense_gate, 14),
    "concatenate": (lambda x: layers.Concatenate()([x, _block(x, 5), x]), 19),
    "concatenate_rows": (lambda x: layers.Concatenate(axis=1)([x, _block(x, 8)]), 14),
    "operators": (lambda x: (x + _block(x, 8)) * x / 2.0 - 0.5, 14),
    "operations": (lambda x: keras.ops.relu(keras.ops.concatenate([x, _block(x, 5)], axis=-1)), 19),
    "mean_operation": (lambda x: x * keras.ops.mean(x, axis=[1, 2], keepdims=True), 14),
    "mean_of_channels": (lambda x: x * keras.ops.mean(x, axis=-1, keepdims=True), 14),
    "largest_channel_that_may_be_less_than_zero": (
        lambda x: x * keras.ops.max(layers.BatchNormalization()(layers.Conv2D(7, 1)(x)), axis=-1, keepdims=True),
        14 + 7,
    ),
    "root_mean_square": (
        lambda x: x * keras.ops.rsqrt(keras.ops.mean(keras.ops.square(x), axis=-1, keepdims=True) + 0.1),
        14,
    ),
    "of_length_one": (lambda x: layers.UnitNormalization()(keras.ops.normalize(x, axis=-1, order=1)), 14),
    "along_channels": (_neighbours, 14),
    "context_of_positions": (_context, 14),
    # Each of the two heads has the same three channels: those of queries and keys are one, those of values others.
    "attention": (_attention, 14 + 3 + 3),
    "similarities": (_similarities, 14),
    "max_pooling": (lambda x: layers.MaxPooling2D()(x), 14),
    "average_pooling": (lambda x: layers.AveragePooling2D(2)(x), 14),
    "adaptive_pooling": (lambda x: layers.AdaptiveAveragePooling2D(2)(layers.AdaptiveMaxPooling2D(3)(x)), 14),
    "global_pooling": (lambda x: layers.GlobalMaxPooling2D()(x), 8),
    "flatten": (lambda x: layers.Flatten()(layers.MaxPooling2D(3)(x)), 8),
    "reshape": (lambda x: layers.Reshape((SIZE, SIZE, 8))(layers.Reshape((SIZE * SIZE * 8,))(x)), 14),
    "reshape_of_unstated_channels": (lambda x: layers.Reshape((SIZE * SIZE, 1, -1))(x), 14),
    "reshape_called_twice": (_reshaped_twice, 8),
    # Positions in each of two rows live and die together, 4 decisions.
    "reshape_to_rows": (lambda x: layers.Reshape((SIZE, SIZE, 2, 4), name="r")(x)[..., 0, :], 4 + 6),
    "permuted": (
        lambda x: layers.Permute((2, 3, 1))(layers.BatchNormalization(axis=1)(layers.Permute((3, 1, 2))(x))),
        14,
    ),
    "stride": (lambda x: x[:, :, ::-1, ::2], 4 + 6),
    "from_the_end": (lambda x: x[..., -5:], 14),
    "box": (lambda x: keras.ops.slice(x, (0, 1, 1, 2), (-1, 3, 3, 5)), 14),
    "unstack": (lambda x: keras.ops.add(*keras.ops.unstack(keras.ops.reshape(x, (-1, 2, 3, SIZE, 8)), axis=1)), 14),
    "repeat_and_tile": (lambda x: keras.ops.tile(keras.ops.repeat(x, 2, axis=-1), (1, 1, 1, 2)), 14),
    "flip": (lambda x: keras.ops.flip(x, axis=-1), 14),
    "rolled_positions": (lambda x: keras.ops.roll(x, (1, 2), axis=(1, 2)), 14),
    "rolled_channels": (lambda x: keras.ops.roll(keras.ops.roll(x, 3, axis=-1), -14, axis=-1), 14),
    "turned": (lambda x: keras.ops.rot90(x, axes=(1, 2)), 14),
    "shuffled_by_numbers": (lambda x: keras.ops.take(x, [0, 4, 1, 5, 2, 6, 3, -1], axis=-1), 14),
    "taken_by_numbers": (lambda x: layers.Concatenate()([keras.ops.take(x, [6, 1, 1], axis=-1), x]), 14),
    "taken_rows": (lambda x: keras.ops.take(keras.ops.take(x, [[0], [2]], axis=2), 0, axis=1), 14),
    "pixels_side_by_side": (lambda x: keras.ops.space_to_depth(x, 2), 14),
    # Four channels make the pixels of one, 2 decisions.
    "channels_side_by_side": (lambda x: keras.ops.depth_to_space(x, 2), 2 + 6),
    "spread": (
        lambda x: x * keras.ops.broadcast_to(keras.ops.max(x, axis=(0, 1, 2), keepdims=True), (1, SIZE, SIZE, 8)),
        14,
    ),
    "repeated_vector": (
        lambda x: layers.Reshape((2, 2, 8))(layers.RepeatVector(4)(layers.GlobalMaxPooling2D()(x))),
        14,
    ),
    "product_over_positions": (lambda x: keras.ops.prod(0.1 * x + 1.0, axis=(1, 2)), 8),
    "smooth_maximum": (lambda x: keras.ops.logsumexp(x, axis=(1, 2), keepdims=True) * x, 14),
    "sparse_weights_of_positions": (lambda x: x * keras.ops.sparsemax(x, axis=1), 14),
    "borders_by_functions": (
        lambda x: keras.ops.image.crop_images(
            keras.ops.image.pad_images(x, 1, 2, 1, 2), 2, 1, target_height=4, target_width=5
        ),
        14,
    ),
    "centre": (lambda x: layers.CenterCrop(4, 4)(x), 14),
    "padding_of_channels": (lambda x: keras.ops.pad(x, ((0, 0), (1, 1), (0, 0), (2, 1))), 14),
    "pooling_functions": (lambda x: keras.ops.max_pool(keras.ops.average_pool(x, 2, strides=1), 2), 14),
    "sum_over_positions": (lambda x: keras.ops.sum(x, axis=(1, 2)), 8),
    "split_rows": (lambda x: keras.ops.concatenate(keras.ops.split(x, 2, axis=1), axis=2), 14),
    "borders": (lambda x: layers.Cropping2D(1)(layers.ZeroPadding2D(2)(x)), 14),
    "sizes": (lambda x: layers.Resizing(4, 4)(layers.UpSampling2D()(x)), 14),
    "rescaling": (lambda x: layers.Rescaling(0.5, offset=1.0)(x), 14),
    "dropout": (lambda x: layers.SpatialDropout2D(0.1)(layers.Dropout(0.1, noise_shape=(None, 1, 1, None))(x)), 14),
    "noise": (lambda x: layers.GaussianDropout(0.1)(layers.AlphaDropout(0.1)(x)), 14),
    "nothing": (lambda x: layers.ActivityRegularization()(layers.Identity()(x)), 14),
    "shared_layers": (_called_twice, 14),
    "nested_models": (_nested, 8 + 5 + 7 + 9 + 6),
    "nested_model_that_shares_a_layer": (_nested_sharing_a_layer, 14),
}
# On CPUs TensorFlow runs these convolutions as other operations.
HIDDEN = ("dilated", "grouped", "grouped_as_depthwise")


@pytest.mark.parametrize("name", PRUNABLE)
def test_masked_and_sliced_runs_are_equal_through(
    name: str, double_precision: None, randomize: Any, random_mask: Any, check_masked_is_sliced: Any, graph_macs: Any
) -> None:
    body, channels = PRUNABLE[name]
    network = randomize(_network(body), _images())
    groups = find_channel_groups(network, prune_residual_stream=True)
    assert groups.size == channels
    mask = random_mask(groups, 0.5, seed=1)
    assert not mask.keep.all()
    subnet = check_masked_is_sliced(network, groups, mask, images=_images())
    costs = Costs(groups)
    assert costs.params(mask) == subnet.count_params()
    if name not in HIDDEN:
        assert costs.macs(mask, SIZE) == graph_macs(subnet, SIZE)


def test_grouped_and_dilated_convolutions_cost_their_kernels_at_every_position() -> None:
    network = _network(lambda x: _block(_block(x, 12, groups=2), 5, dilation_rate=2))
    groups = find_channel_groups(network)
    # 3 x 3 kernels on 36 positions: 3 -> 8, each of 12 filters sees 4 of 8, 12 -> 5, 5 -> 6; then 6 -> 3.
    macs = 36 * 9 * (3 * 8 + 4 * 12 + 12 * 5 + 5 * 6) + 6 * 3
    assert Costs(groups).macs(ChannelMask.full(groups), SIZE) == macs


def _coupled(_: Any, inputs: Any) -> Any:
    return inputs - keras.ops.mean(inputs, axis=-1, keepdims=True)


class _Unknown(layers.Layer):
    call = _coupled


class _Halves(layers.Layer):
    def call(self, inputs: Any) -> Any:
        return inputs[..., :4], inputs[..., 4:]


# Name -> (body, the words of the warning, how many channels are lost).
LOSSES: dict[str, tuple[Callable[[Any], Any], str, int]] = {
    "unknown": (lambda x: _Unknown(name="mine")(x), "_Unknown 'mine' is unknown to the library", 8),
    "subclass": (
        lambda x: type("Mine", (layers.ReLU,), {"call": _coupled})(name="mine")(x),
        "Mine 'mine' is unknown to the library",
        8,
    ),
    "several_outputs": (
        lambda x: layers.Concatenate()(_Halves(name="halves")(x)),
        "_Halves 'halves' is unknown to the library",
        8,
    ),
    "norm_behind_what_is_not_zero": (
        lambda x: layers.LayerNormalization(name="norm")(keras.ops.sigmoid(x)),
        "LayerNormalization 'norm' couples channels, which are not zero once pruned",
        8,
    ),
    "softmax": (lambda x: layers.Activation("softmax", name="soft")(x), "Activation 'soft' may couple channels", 8),
    "kernel_with_softmax": (
        lambda x: layers.BatchNormalization()(layers.Conv2D(4, 1, activation="softmax", name="soft")(x)),
        "Conv2D 'soft' has an activation that may couple channels",
        4,
    ),
    "norm_of_rows": (
        lambda x: layers.BatchNormalization(axis=1, name="rows")(x),
        "BatchNormalization 'rows' normalizes an axis that is not the last",
        8,
    ),
    "root": (
        lambda x: keras.ops.sqrt(keras.ops.abs(layers.BatchNormalization()(layers.Conv2D(8, 1)(x)))),
        "Sqrt 'sqrt' has no finite value or slope at zero, which channels are once pruned",
        8,
    ),
    "one_channel": (
        lambda x: x * x[..., 3][..., None],
        "GetItem 'get_item' takes a single channel out",
        8,
    ),
    "neighbours_that_are_not_zero": (
        lambda x: _neighbours(keras.ops.sigmoid(x)),
        "Conv1D 'eca' couples channels, which are not zero once pruned",
        8,
    ),
    "mean_of_differences": (
        lambda x: x * keras.ops.mean(keras.ops.abs(_coupled(None, x)), axis=-1, keepdims=True),
        "Mean 'mean_1' couples channels, which are not zero once pruned",
        8,
    ),
    "length_of_shares": (
        lambda x: layers.UnitNormalization(name="unit")(keras.ops.softmax(x, axis=1)),
        "UnitNormalization 'unit' couples channels, which are not zero once pruned",
        8,
    ),
    "stride": (
        lambda x: x[..., 1:7:2],
        "GetItem 'get_item' takes channels out by a stride that does not divide them",
        8,
    ),
    "constants": (
        lambda x: layers.Rescaling([1.0] * 8, name="scale")(x),
        "Rescaling 'scale' holds constants for it",
        8,
    ),
    "adapted": (lambda x: layers.Normalization(name="n")(x), "Normalization 'n' holds constants for it", 8),
    "noise_shape": (
        lambda x: layers.Dropout(0.1, noise_shape=(None, 1, 1, 8), name="drop")(x),
        "Dropout 'drop' has a noise_shape that states the number of channels",
        8,
    ),
    "array": (lambda x: x * np.arange(8.0), "Multiply 'multiply' is unknown to the library", 8),
    "division_by_channels": (
        lambda x: x / layers.BatchNormalization()(layers.Conv2D(8, 1)(x)),
        "TrueDivide 'true_divide' divides by channels, which are zero once pruned",
        16,
    ),
    "matrix_of_channels": (
        lambda x: keras.ops.matmul(layers.Permute((1, 3, 2))(x), x),
        "Matmul 'matmul' meets channels along different axes",
        8,
    ),
    "similarities_that_are_not_zero": (
        lambda x: keras.ops.matmul(keras.ops.exp(x), keras.ops.transpose(keras.ops.exp(x), (0, 1, 3, 2))),
        "Matmul 'matmul' couples channels, which are not zero once pruned",
        8,
    ),
    "reduction": (lambda x: x * keras.ops.var(x, axis=-1, keepdims=True), "Var 'var' reduces the channels", 8),
}


@pytest.mark.parametrize("name", LOSSES)
def test_what_cannot_be_followed_is_kept_with_one_warning_that_names_the_layer_and_the_loss(
    name: str, double_precision: None, randomize: Any, random_mask: Any, check_masked_is_sliced: Any, caplog: Any
) -> None:
    body, words, lost = LOSSES[name]
    network = randomize(_network(body), _images())
    groups = find_channel_groups(network, prune_residual_stream=True)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith(words)
    assert record.getMessage().endswith(f": {lost} channels cannot be pruned.")
    check_masked_is_sliced(network, groups, random_mask(groups, 0.5), images=_images())


def test_the_rows_of_an_image_of_one_channel_can_be_what_a_kernel_reads(
    double_precision: None, randomize: Any, random_mask: Any, check_masked_is_sliced: Any
) -> None:
    inputs = keras.Input((SIZE, SIZE, 3))
    rows = keras.ops.squeeze(layers.Conv2D(1, 1)(inputs), -1)
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv1D(6, 3, padding="same")(rows)))
    network = randomize(keras.Model(inputs, layers.Dense(3)(layers.GlobalMaxPooling1D()(x))), _images())
    groups = find_channel_groups(network)
    assert groups.size == 6
    check_masked_is_sliced(network, groups, random_mask(groups, 0.5), images=_images())


def test_an_unknown_layer_that_costs_nothing_is_not_worth_a_warning(caplog: Any) -> None:
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.GlobalAveragePooling2D()(_block(_Unknown()(inputs), 8))
    assert find_channel_groups(keras.Model(inputs, _Unknown()(layers.Dense(3)(x)))).size == 8
    assert not caplog.records
