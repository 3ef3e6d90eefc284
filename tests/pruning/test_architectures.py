"""Small networks of kinds that people build: what each can prune, that masked runs equal sliced ones, and the cost."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from ofar_tf.pruning.channel_groups import ChannelGroups, find_channel_groups
from ofar_tf.pruning.costs import Costs

SIZE = 8


def _images() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(4, SIZE, SIZE, 3))


def _norm(x: Any, filters: int, kernel: Any = 3, *, scale: bool = True, **arguments: Any) -> Any:
    x = layers.Conv2D(filters, kernel, padding="same", use_bias=False, **arguments)(x)
    return layers.BatchNormalization(scale=scale)(x)


def _relu(x: Any, filters: int, kernel: Any = 3, **arguments: Any) -> Any:
    return layers.ReLU()(_norm(x, filters, kernel, **arguments))


def _depthwise(x: Any, kernel: int = 3, **arguments: Any) -> Any:
    return layers.BatchNormalization()(layers.DepthwiseConv2D(kernel, padding="same", use_bias=False, **arguments)(x))


def _shuffle(x: Any, parts: int) -> Any:
    _, height, width, channels = x.shape
    x = layers.Reshape((height, width, parts, channels // parts))(x)
    return layers.Reshape((height, width, channels))(layers.Permute((1, 2, 4, 3))(x))


def _shuffle_by_functions(x: Any, parts: int) -> Any:
    _, height, width, channels = x.shape
    x = ops.reshape(x, (-1, height, width, parts, channels // parts))
    return ops.reshape(ops.transpose(x, (0, 1, 2, 4, 3)), (-1, height, width, channels))


# Activations, written by hand behind a linear convolution of 8 channels.
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "hard_swish": lambda x: x * ops.relu6(x + 3.0) / 6.0,
    "hard_swish_by_layers": lambda x: layers.Multiply()([x, layers.ReLU(6.0)(layers.Rescaling(1.0, offset=3.0)(x))]),
    "hard_swish_by_clip": lambda x: ops.multiply(x, ops.clip(x + 3.0, 0.0, 6.0)) * (1.0 / 6.0),
    "swish": lambda x: x * ops.sigmoid(x),
    "swish_by_layers": lambda x: layers.Multiply()([layers.Activation("sigmoid")(x), x]),
    "swish_by_activation": lambda x: x * keras.activations.sigmoid(x),
    "swish_by_exponential": lambda x: x / (1.0 + ops.exp(-x)),
    "mish": lambda x: x * ops.tanh(ops.softplus(x)),
    "gelu_by_tanh": lambda x: 0.5 * x * (1.0 + ops.tanh(0.8 * (x + 0.04 * x * x * x))),
    "gelu_by_erf": lambda x: 0.5 * x * (1.0 + ops.erf(x / 1.4)),
    "relu_as_maximum": lambda x: ops.maximum(x, 0.0),
    "leaky_relu_by_sum": lambda x: ops.relu(x) - 0.1 * ops.relu(-x),
    "leaky_relu_by_choice": lambda x: ops.where(x > 0.0, x, 0.1 * x),
    "relu_by_absolute": lambda x: (x + ops.abs(x)) / 2.0,
    "squared_relu": lambda x: ops.square(keras.activations.relu(x)),
    "squared_relu_by_power": lambda x: ops.relu(x) ** 2,
    "smooth_absolute": lambda x: ops.sqrt(ops.square(x) + 1.0) - 1.0,
    "softsign_by_hand": lambda x: x / (1.0 + ops.abs(x)),
    "negative_exponential": lambda x: 1.0 - ops.exp(ops.negative(ops.relu(x))),
    "function_relu": lambda x: keras.activations.relu(x, max_value=6.0),
    "function_hard_silu": lambda x: ops.hard_silu(x),
    "function_softplus": lambda x: keras.activations.softplus(x),
    "function_elu": lambda x: keras.activations.elu(x),
}


def _sizes(groups: ChannelGroups) -> list[int]:
    return sorted(group.size for group in groups.groups)


def test_what_passes_an_activation_written_by_hand_can_be_pruned(
    double_precision: None, randomize: Any, random_mask: Any, check_masked_is_sliced: Any
) -> None:
    inputs = keras.Input((SIZE, SIZE, 3))
    branches = {name: function(_norm(inputs, 3, name=f"{name}_by_hand")) for name, function in ACTIVATIONS.items()}
    network = keras.Model(inputs, layers.Dense(3)(_pool(_relu(layers.Concatenate()(list(branches.values())), 8))))
    groups = find_channel_groups(randomize(network, _images()))
    assert {f"{name}_by_hand" for name in ACTIVATIONS} <= {group.name for group in groups.groups}
    assert _sizes(groups) == [3] * len(ACTIVATIONS) + [8]
    check_masked_is_sliced(network, groups, random_mask(groups, 0.5, seed=1), images=_images())


# Gates for a map of 8 channels, each of a hidden layer of 4.
def _pool(x: Any) -> Any:
    return layers.GlobalAveragePooling2D()(x)


def _attention_of_two_pools(x: Any) -> Any:
    hidden, out = layers.Dense(4, activation="relu"), layers.Dense(8)
    gates = [out(hidden(pool(x))) for pool in (layers.GlobalAveragePooling2D(), layers.GlobalMaxPooling2D())]
    return x * layers.Reshape((1, 1, 8))(layers.Activation("sigmoid")(layers.Add()(gates)))


def _two_pools_by_functions(x: Any) -> Any:
    hidden, out = layers.Conv2D(4, 1, activation="relu"), layers.Conv2D(8, 1)
    mean, most = (pool(x, axis=(1, 2), keepdims=True) for pool in (ops.mean, ops.max))
    return ops.multiply(x, ops.sigmoid(out(hidden(mean)) + out(hidden(most))))


def _global_context(x: Any) -> Any:
    hidden = layers.Dense(4, activation="relu")(_pool(x))
    return x + layers.Reshape((1, 1, 8))(layers.Dense(8)(hidden))


GATES: dict[str, Callable[[Any], Any]] = {
    "dense": lambda x: x * layers.Reshape((1, 1, 8))(layers.Dense(8, "sigmoid")(layers.Dense(4, "relu")(_pool(x)))),
    "dense_by_item": lambda x: x * layers.Dense(8, "sigmoid")(layers.Dense(4, "relu")(_pool(x)))[:, None, None, :],
    "dense_by_expand_dims": lambda x: layers.Multiply()(
        [x, ops.expand_dims(ops.expand_dims(layers.Dense(8, "sigmoid")(_pool(x)), 1), 1)]
    ),
    "dense_by_reshape": lambda x: x * ops.reshape(layers.Dense(8, "hard_sigmoid")(ops.mean(x, (1, 2))), (-1, 1, 1, 8)),
    "convolutions": lambda x: layers.Multiply()(
        [x, layers.Conv2D(8, 1, activation="sigmoid")(ops.mean(x, axis=[1, 2], keepdims=True))]
    ),
    "hard_sigmoid_by_hand": lambda x: x * (ops.relu6(layers.Conv2D(8, 1)(_mean(x)) + 3.0) / 6.0),
    "relu_and_clip": lambda x: x * ops.clip(0.2 * layers.Conv2D(8, 1)(_mean(x)) + 0.5, 0.0, 1.0),
    "sum": lambda x: x * ops.sigmoid(layers.Conv2D(8, 1)(ops.sum(x, axis=(1, 2), keepdims=True) / 64.0)),
    "average_pool": lambda x: x * layers.Conv2D(8, 1, activation="sigmoid")(ops.average_pool(x, SIZE)),
    "attention_of_two_pools": _attention_of_two_pools,
    "two_pools_by_functions": _two_pools_by_functions,
    "residual_gate": lambda x: x + x * layers.Conv2D(8, 1, activation="sigmoid")(_mean(x)),
    "one_plus_gate": lambda x: x * (1.0 + ops.tanh(layers.Conv2D(8, 1)(_mean(x)))),
    "global_context": _global_context,
    "gate_at_each_position": lambda x: x * layers.Conv2D(8, 1, activation="sigmoid")(x),
    "variance": lambda x: x * layers.Conv2D(8, 1, activation="sigmoid")(ops.var(x, axis=(1, 2), keepdims=True)),
}


def _mean(x: Any) -> Any:
    return layers.GlobalAveragePooling2D(keepdims=True)(x)


@pytest.mark.parametrize("before", ["linear", "relu"])
def test_what_is_gated_can_be_pruned_whether_its_activation_comes_before_or_after(
    before: str, double_precision: None, randomize: Any, random_mask: Any, check_masked_is_sliced: Any
) -> None:
    inputs = keras.Input((SIZE, SIZE, 3))
    branches = []
    for name, gate in GATES.items():
        x = _norm(inputs, 8, name=f"{name}_gated")
        branches.append(gate(layers.ReLU()(x)) if before == "relu" else layers.ReLU()(gate(x)))
    network = keras.Model(inputs, layers.Dense(3)(_pool(_relu(layers.Concatenate()(branches), 6))))
    groups = find_channel_groups(randomize(network, _images()))
    assert {f"{name}_gated" for name in GATES} <= {group.name for group in groups.groups}
    assert _sizes(groups) == [6] + [8] * len(GATES)
    check_masked_is_sliced(network, groups, random_mask(groups, 0.5, seed=1), images=_images())


def _rep_vgg(x: Any) -> Any:
    x = layers.ReLU()(layers.Add()([_norm(x, 8), _norm(x, 8, 1)]))
    return layers.ReLU()(layers.Add()([_norm(x, 8), _norm(x, 8, 1), layers.BatchNormalization()(x)]))


def _ac_net(x: Any) -> Any:
    return layers.ReLU()(_norm(x, 8, (3, 3)) + _norm(x, 8, (1, 3)) + _norm(x, 8, (3, 1)))


def _mobile_one(x: Any) -> Any:
    x = layers.ReLU()(layers.Add()([_depthwise(x), _depthwise(x), _depthwise(x, 1), layers.BatchNormalization()(x)]))
    return layers.ReLU()(layers.Add()([_norm(x, 8, 1), _norm(x, 8, 1)]))


def _mobile_one_by_groups(x: Any) -> Any:
    branches = [_norm(x, x.shape[-1], kernel, groups=x.shape[-1]) for kernel in (3, 1)]
    return _relu(layers.ReLU()(layers.Add()([*branches, layers.BatchNormalization()(x)])), 8, 1)


def _ghost(x: Any, filters: int) -> Any:
    primary = _relu(x, filters, 1)
    return layers.Concatenate()([primary, layers.ReLU()(_depthwise(primary))])


def _ghost_cut(x: Any) -> Any:
    return _ghost(x, 5)[..., :8]


def _shuffle_net_v2(shuffle: Callable[[Any, int], Any]) -> Callable[[Any], Any]:
    def body(x: Any) -> Any:
        for _ in range(2):
            left, right = ops.split(x, 2, axis=-1)
            right = _relu(_depthwise(_relu(right, 6, 1)), x.shape[-1] // 2, 1)
            x = shuffle(layers.Concatenate()([left, right]), 2)
        return x

    return body


def _shuffle_net_v2_by_slices(x: Any) -> Any:
    half = x.shape[-1] // 2
    left, right = x[:, :, :, :half], x[:, :, :, half:]
    right = _relu(_depthwise(_relu(right, 6, 1)), half, 1)
    return _shuffle_by_functions(ops.concatenate([left, right], axis=-1), 2)


def _shuffle_by_stack(x: Any) -> Any:
    left, right = ops.split(_relu(x, 8), 2, axis=3)
    _, height, width, half = left.shape
    return ops.reshape(ops.stack([left, right], axis=-1), (-1, height, width, 2 * half))


def _shuffle_net_v1(x: Any) -> Any:
    x = _shuffle(_relu(x, 12, 1, groups=2), 2)
    return _relu(_depthwise(x), 8, 1, groups=2)


def _csp(x: Any) -> Any:
    past, through = _relu(x, 4, 1), _relu(x, 4, 1)
    through = layers.Add()([through, _relu(_relu(through, 6, 1), 4)])
    return _relu(layers.Concatenate()([past, through]), 8, 1)


def _c2f(x: Any) -> Any:
    parts = ops.split(_relu(x, 8, 1), 2, axis=-1)
    for _ in range(2):
        parts.append(_relu(_relu(parts[-1], 5), 4))
    return _relu(ops.concatenate(parts, axis=-1), 8, 1)


def _inception(x: Any) -> Any:
    pooled = layers.AveragePooling2D(3, strides=1, padding="same")(x)
    branches = [
        _relu(x, 4, 1, scale=False),
        _relu(_relu(x, 3, 1, scale=False), 5, scale=False),
        _relu(pooled, 2, 1, scale=False),
    ]
    return layers.Concatenate()(branches)


def _res2_net(x: Any) -> Any:
    first, *rest = ops.split(_relu(x, 12, 1), 4, axis=-1)
    scales, before = [first], None
    for part in rest:
        before = _relu(part if before is None else part + before, 3)
        scales.append(before)
    return ops.relu(x + _norm(ops.concatenate(scales, axis=-1), 8, 1))


def _conv_next_like(x: Any) -> Any:
    inner = _depthwise(x, 5)
    inner = _norm(layers.Activation("gelu")(_norm(inner, 12, 1)), x.shape[-1], 1)
    return x + inner


def _selective_kernel(x: Any) -> Any:
    three, five = _relu(x, 8), _relu(x, 8, 5)
    hidden = layers.Dense(4, "relu")(_pool(three + five))
    gates = ops.softmax(ops.stack([layers.Dense(8)(hidden), layers.Dense(8)(hidden)], axis=1), axis=1)
    return three * gates[:, 0][:, None, None, :] + five * gates[:, 1][:, None, None, :]


def _channel_and_spatial_attention(x: Any) -> Any:
    hidden, out = layers.Dense(2, "relu"), layers.Dense(8)
    gate = ops.sigmoid(out(hidden(_pool(x))) + out(hidden(layers.GlobalMaxPooling2D()(x))))
    x = x * layers.Reshape((1, 1, 8))(gate)
    pools = [ops.mean(x, axis=-1, keepdims=True), ops.max(x, axis=-1, keepdims=True)]
    return x * layers.Conv2D(1, 3, padding="same", activation="sigmoid")(ops.concatenate(pools, axis=-1))


def _efficient_channel_attention(x: Any) -> Any:
    gate = layers.Conv1D(1, 3, padding="same", use_bias=False)(ops.expand_dims(ops.mean(x, axis=(1, 2)), axis=-1))
    return x * ops.sigmoid(ops.squeeze(gate, axis=-1))[:, None, None, :]


def _gated_linear_unit(x: Any) -> Any:
    value, gate = ops.split(_norm(x, 12, 1), 2, axis=-1)
    return value * ops.sigmoid(gate)


def _max_feature_map(x: Any) -> Any:
    x = _norm(x, 12, 1)
    return ops.maximum(x[..., :6], x[..., 6:])


def _halves(x: Any) -> Any:
    first, second = ops.split(_norm(x, 6), 2, axis=-1)
    return ops.concatenate([ops.relu(first), ops.sigmoid(second)], axis=-1)


def _space_to_depth(x: Any) -> Any:
    corners = [x[:, row::2, column::2, :] for row in (0, 1) for column in (0, 1)]
    return _relu(ops.concatenate(corners, axis=-1), 8)


def _padded_shortcut(x: Any) -> Any:
    y = _norm(_relu(x, 6), 12)
    return ops.relu(y + ops.pad(x, [[0, 0], [0, 0], [0, 0], [2, 2]]))


def _windows(x: Any) -> Any:
    """As attention in windows has them: positions become images, of which a kernel makes others, and come back."""
    half = SIZE // 2
    x = ops.transpose(ops.reshape(x, (-1, 2, half, 2, half, 8)), (0, 1, 3, 2, 4, 5))
    x = _relu(ops.reshape(x, (-1, half, half, 8)), 6)
    x = ops.transpose(ops.reshape(x, (-1, 2, 2, half, half * 6)), (0, 1, 3, 2, 4))
    return ops.reshape(x, (-1, SIZE, SIZE, 6))


def _res_net(x: Any) -> Any:
    for filters in (8, 12):
        shortcut = x if filters == x.shape[-1] else _norm(x, filters, 1)
        x = layers.ReLU()(layers.Add()([shortcut, _norm(_relu(x, 6), filters)]))
    return x


def _inverted_residuals(x: Any) -> Any:
    x = _norm(layers.ReLU()(_depthwise(_relu(x, 10, 1))), 5, 1)
    return _norm(layers.ReLU()(_depthwise(_relu(x, 9, 1))), 7, 1)


# Name -> (body that gets 8 channels, sizes of the groups by default, and with the residual stream). The 8 and 4 of the
# frame come first and last unless they are tied to what the body holds.
NETWORKS: dict[str, tuple[Callable[[Any], Any], list[int], list[int]]] = {
    # Branches that all start anew.
    "rep_vgg": (_rep_vgg, [8, 8, 4], [8, 8, 4]),
    "ac_net": (_ac_net, [8, 8, 4], [8, 8, 4]),
    "mobile_one": (_mobile_one, [8, 8, 4], [8, 8, 4]),
    "mobile_one_by_groups": (_mobile_one_by_groups, [8, 8, 4], [8, 8, 4]),
    "channel_and_spatial_attention": (_channel_and_spatial_attention, [8, 4], [8, 4]),
    "efficient_channel_attention": (_efficient_channel_attention, [8, 4], [8, 4]),
    "selective_kernel": (_selective_kernel, [8, 8, 4], [8, 8, 4]),
    # Slices, splits, shuffles.
    "ghost": (lambda x: _ghost(x, 5), [8, 5, 4], [8, 5, 4]),
    "ghost_cut": (_ghost_cut, [8, 5, 4], [8, 5, 4]),
    "csp": (_csp, [8, 4, 6, 8, 4], [8, 4, 4, 6, 8, 4]),
    "c2f": (_c2f, [8, 4, 4, 5, 4, 5, 4, 8, 4], [8, 4, 4, 5, 4, 5, 4, 8, 4]),
    "gated_linear_unit": (_gated_linear_unit, [8, 6, 4], [8, 6, 4]),
    "glu": (lambda x: keras.activations.glu(_norm(x, 12, 1)), [8, 6, 4], [8, 6, 4]),
    "max_feature_map": (_max_feature_map, [8, 6, 4], [8, 6, 4]),
    "space_to_depth": (_space_to_depth, [8, 8, 4], [8, 8, 4]),
    "windows": (_windows, [8, 6, 4], [8, 6, 4]),
    # Each half keeps some channels, though both are read by one kernel.
    "halves": (_halves, [8, 3, 3, 4], [8, 3, 3, 4]),
    # Norms without a scale.
    "inception": (_inception, [8, 4, 3, 5, 2, 4], [8, 4, 3, 5, 2, 4]),
    # Residual streams. The scales of a Res2Net are sums of different channels: only what runs past its unit is one.
    "res2_net": (_res2_net, [3, 3, 3, 3, 3, 4], [8, 3, 3, 3, 3, 3, 4]),
    "conv_next_like": (_conv_next_like, [12, 4], [8, 12, 4]),
    "res_net": (_res_net, [6, 6, 4], [8, 6, 6, 12, 4]),
    "padded_shortcut": (_padded_shortcut, [6, 4], [8, 6, 4]),
    "inverted_residuals": (_inverted_residuals, [8, 10, 9, 4], [8, 10, 5, 9, 7, 4]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_prunes_what_no_residual_stream_holds_and_runs_masked_as_it_runs_sliced(
    name: str, double_precision: None, randomize: Any, random_mask: Any, check_masked_is_sliced: Any, graph_macs: Any
) -> None:
    body, sizes, with_stream = NETWORKS[name]
    inputs = keras.Input((SIZE, SIZE, 3))
    network = keras.Model(inputs, layers.Dense(3)(_pool(_relu(body(_relu(inputs, 8)), 4))))
    randomize(network, _images())
    assert _sizes(find_channel_groups(network)) == sorted(sizes)
    groups = find_channel_groups(network, prune_residual_stream=True)
    assert _sizes(groups) == sorted(with_stream)
    mask = random_mask(groups, 0.4, seed=2)
    subnet = check_masked_is_sliced(network, groups, mask, images=_images())
    costs = Costs(groups)
    assert costs.params(mask) == subnet.count_params()
    if "groups" not in name:  # On CPUs TensorFlow runs grouped convolutions as another operation.
        assert costs.macs(mask, SIZE) == graph_macs(subnet, SIZE)


def _plain(x: Any) -> Any:
    for filters, activation in ((6, "relu"), (7, "sigmoid")):
        x = layers.MaxPooling2D()(layers.Conv2D(filters, 3, padding="same", activation=activation)(x))
    return layers.Dense(5, activation="relu")(layers.Dropout(0.0)(layers.Flatten()(x)))


def _conv_next(x: Any) -> Any:
    x = layers.LayerNormalization()(layers.Conv2D(8, 2, strides=2)(x))
    for _ in range(2):
        y = layers.LayerNormalization()(layers.DepthwiseConv2D(7, padding="same")(x))
        x = x + layers.Dense(8)(layers.Activation("gelu")(layers.Dense(16)(y)))
    return layers.LayerNormalization()(_pool(x))


# Name -> (body that gets the image, sizes of the groups).
WITHOUT_NORMS: dict[str, tuple[Callable[[Any], Any], list[int]]] = {
    "plain": (_plain, [6, 7, 5]),
    "conv_next": (_conv_next, [16, 16]),
}


@pytest.mark.parametrize("name", WITHOUT_NORMS)
def test_a_network_without_batch_norms_prunes_what_lies_between_two_kernels(
    name: str, double_precision: None, randomize: Any, random_mask: Any, check_masked_is_sliced: Any
) -> None:
    body, sizes = WITHOUT_NORMS[name]
    inputs = keras.Input((SIZE, SIZE, 3))
    network = randomize(keras.Model(inputs, layers.Dense(3)(body(inputs))), _images())
    groups = find_channel_groups(network, prune_residual_stream=True)
    assert [group.size for group in groups.groups] == sizes
    mask = random_mask(groups, 0.4, seed=2)
    assert Costs(groups).params(mask) == check_masked_is_sliced(network, groups, mask, images=_images()).count_params()


# Name -> (body that gets 8 channels, sizes of the groups).
SHUFFLED: dict[str, tuple[Callable[[Any], Any], list[int]]] = {
    # The first unit ties the left four of 8 channels to its own four, and leaves the right four to its kernel. What it
    # gives is two pairs on the left, tied to the second unit's four, and two pairs on the right.
    "v2": (_shuffle_net_v2(_shuffle), [2, 2, 4, 4, 6, 6]),
    "v2_by_functions": (_shuffle_net_v2(_shuffle_by_functions), [2, 2, 4, 4, 6, 6]),
    "v2_by_slices": (_shuffle_net_v2_by_slices, [4, 4, 4, 6]),
    # 12 channels in two parts, shuffled in pairs, and again in two parts leave 3 decisions.
    "v1": (_shuffle_net_v1, [3, 4, 4, 4]),
    "stack": (_shuffle_by_stack, [4, 4, 8]),
}


@pytest.mark.parametrize("name", SHUFFLED)
def test_a_shuffle_ties_channels_by_its_permutation(
    name: str, double_precision: None, randomize: Any, random_mask: Any, check_masked_is_sliced: Any
) -> None:
    body, sizes = SHUFFLED[name]
    inputs = keras.Input((SIZE, SIZE, 3))
    network = keras.Model(inputs, layers.Dense(3)(_pool(_relu(body(_relu(inputs, 8)), 4))))
    groups = find_channel_groups(randomize(network, _images()))
    assert _sizes(groups) == sizes
    check_masked_is_sliced(network, groups, random_mask(groups, 0.3, seed=1), images=_images())
