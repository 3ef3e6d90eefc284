from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from ofar_tf.pruning.channel_groups import ChannelGroups, find_channel_groups
from ofar_tf.pruning.channel_mask import rank_channels
from ofar_tf.pruning.importance import channel_importance
from ofar_tf.pruning.sensitivity import GateSensitivity


@pytest.fixture(scope="module")
def network() -> tuple[keras.Model, ChannelGroups]:
    """Two ranked groups: 2 channels ranked by two norms, 3 by one."""
    inputs = keras.Input((4, 4, 1))
    x = layers.ReLU()(layers.BatchNormalization(name="a")(layers.Conv2D(2, 1, use_bias=False)(inputs)))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(name="b")(x))
    x = layers.ReLU()(layers.BatchNormalization(name="c")(layers.Conv2D(3, 1, use_bias=False)(x)))
    model = keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))
    for name, gamma in {"a": [1.0, -2.0], "b": [-3.0, 0.5], "c": [0.5, -4.0, 1.5]}.items():
        model.get_layer(name).gamma.assign(gamma)
    return model, find_channel_groups(model)


def _scores(network: tuple[keras.Model, ChannelGroups], **arguments: Any) -> list[float]:
    model, groups = network
    return channel_importance(groups, model.get_weights(), **arguments).tolist()


def test_gamma_is_the_mean_of_the_absolute_scales_that_rank_a_channel(network: Any) -> None:
    assert _scores(network) == [2.0, 1.25, 0.5, 4.0, 1.5]


def test_gamma_per_layer_divides_by_the_mean_of_the_group(network: Any) -> None:
    expected = [2.0 / 1.625, 1.25 / 1.625, 0.25, 2.0, 0.75]
    np.testing.assert_allclose(_scores(network, criterion="gamma_per_layer"), expected)


def test_gamma_per_mac_divides_by_what_the_channel_costs(network: Any) -> None:
    # On 16 positions a channel of the first group costs 1 + 9 + 3, one of the second 2, and 5 in the dense layer.
    first, second = 16 * 13, 16 * 2 + 5
    expected = [2.0 / first, 1.25 / first, 0.5 / second, 4.0 / second, 1.5 / second]
    np.testing.assert_allclose(_scores(network, criterion="gamma_per_mac", resolution=4), expected)


def test_uniform_knows_no_difference_so_that_position_decides(network: Any) -> None:
    scores = _scores(network, criterion="uniform")
    assert scores == [0.0] * 5
    # Relative positions 0, 1/2 | 0, 1/3, 2/3.
    assert rank_channels(network[1].groups, np.array(scores)).tolist() == [4, 1, 3, 0, 2]


def test_random_depends_on_the_seed_alone(network: Any) -> None:
    first = _scores(network, criterion="random", seed=1)
    assert first == _scores(network, criterion="random", seed=1) != _scores(network, criterion="random", seed=2)
    assert len(set(first)) == 5


def test_a_group_whose_scales_are_all_zero_scores_zero(network: Any) -> None:
    model, groups = network
    weights = [np.zeros_like(weight) for weight in model.get_weights()]
    assert channel_importance(groups, weights, criterion="gamma_per_layer").tolist() == [0.0] * 5


def test_an_unknown_criterion_is_refused(network: Any) -> None:
    with pytest.raises(ValueError, match=r"Expected an importance of gamma, .*, random\. Received: 'beta'\."):
        _scores(network, criterion="beta")


def test_kernel_norm_is_that_of_the_filters_in_units_of_their_layers_mean(network: Any) -> None:
    model, groups = network
    weights = model.get_weights()
    places = {weight.path: index for index, weight in enumerate(model.weights)}
    (first, depthwise, second, _) = (index for path, index in places.items() if path.endswith("kernel"))
    # The first group is made by two kernels: norms 3 and 1, mean 2; and norms 2 and 6, mean 4.
    weights[first] = np.array([3.0, -1.0]).reshape(1, 1, 1, 2)
    weights[depthwise] = np.array([2.0, 6.0]).reshape(1, 1, 2, 1) * np.eye(3).reshape(3, 3, 1, 1)
    # The second by one: norms 5, 0 and 10.
    weights[second] = np.array([[3.0, 0.0, 6.0], [4.0, 0.0, 8.0]]).reshape(1, 1, 2, 3)
    scores = channel_importance(groups, weights, criterion="kernel_norm")
    np.testing.assert_allclose(scores, [(1.5 + 0.5) / 2, (0.5 + 1.5) / 2, 1.0, 0.0, 2.0])


def test_taylor_ranks_by_what_training_has_seen_and_by_nothing_before_it(network: Any) -> None:
    for criterion in ("taylor", "taylor_adaptive"):
        assert _scores(network, criterion=criterion) == [0.0] * 5
    seen = np.array([0.6, 0.2, 0.4, 0.2, 0.3])
    assert _scores(network, criterion="taylor", sensitivity=seen) == seen.tolist()
    # Two channels of .8 and three of .9: the last of a group counts as the whole of it, the first as by itself.
    adaptive = _scores(network, criterion="taylor_adaptive", sensitivity=seen)
    np.testing.assert_allclose(adaptive, [0.8, 0.2, 0.9, 0.2, 0.3 * 0.9 / 0.7])


def test_channels_are_adapted_to_their_group_in_the_order_that_they_had(network: Any) -> None:
    seen = np.array([0.2, 0.2, 0.3, 0.0, 0.3])
    # Of two alike the one that comes first is the last to go, as in every mask.
    np.testing.assert_allclose(
        _scores(network, criterion="taylor_adaptive", sensitivity=seen), [0.4, 0.2, 0.6, 0.0, 0.3]
    )


def test_the_sensitivity_of_a_channel_is_the_slope_of_the_loss_in_a_gate_on_it() -> None:
    # Two kernels read the channels, in one network through a gate.
    inputs, gates, random = keras.Input((4, 4, 3)), keras.Input((4,)), np.random.default_rng(0)
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", name="first")(inputs)))
    built = []
    for kind, read in enumerate((x, x * layers.Reshape((1, 1, 4))(gates))):
        y = layers.Conv2D(5, 3, padding="same", name=f"second_{kind}")(read)
        z = layers.Conv2D(5, 1, name=f"beside_{kind}")(read)
        y = layers.GlobalAveragePooling2D()(layers.Activation("swish")(layers.Add()([y, z])))
        built.append(layers.Dense(2, name=f"logits_{kind}")(y))
    whole = keras.Model([inputs, gates], built[1])
    plain = keras.Model(inputs, built[0])
    for one, other in (("second_1", "second_0"), ("beside_1", "beside_0"), ("logits_1", "logits_0")):
        whole.get_layer(one).set_weights([random.normal(size=w.shape) for w in whole.get_layer(one).weights])
        plain.get_layer(other).set_weights(whole.get_layer(one).get_weights())
    images = tf.constant(random.normal(size=(6, 4, 4, 3)), tf.float32)
    groups = find_channel_groups(plain)
    assert [group.size for group in groups.groups] == [4]  # Nothing ranks the sum behind it.
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(plain(images, training=True) ** 2)
    seen = GateSensitivity(plain, groups)(tape.gradient(loss, [v.value for v in plain.trainable_variables]))
    gate = tf.Variable(tf.ones(4))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(whole([images, tf.ones((6, 1)) * gate], training=True) ** 2)
    np.testing.assert_allclose(seen, np.abs(tape.gradient(loss, gate)), rtol=1e-4)


def test_gamma_per_mac_without_a_resolution_is_refused(network: Any) -> None:
    with pytest.raises(ValueError, match=r"Expected a resolution for gamma_per_mac. Received: resolution=None."):
        _scores(network, criterion="gamma_per_mac")


@pytest.mark.parametrize("criterion", ["gamma", "gamma_per_layer"])
def test_a_scale_that_is_not_a_number_is_refused_when_channels_are_ranked(network: Any, criterion: str) -> None:
    model, groups = network
    weights = [np.full_like(weight, np.nan) for weight in model.get_weights()]
    with pytest.raises(ValueError, match="the training has diverged"):
        rank_channels(groups.groups, channel_importance(groups, weights, criterion=criterion))
