import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.training.regularization import Regularization


@pytest.fixture(scope="module")
def network():
    """Every kind of kernel, with a BatchNorm that ranks channels and one, on the residual stream, that does not."""
    layers = keras.layers
    image = keras.Input((8, 8, 3))
    stem = layers.Conv2D(4, 1, name="stem")(image)
    x = layers.ReLU()(layers.BatchNormalization(name="ranking")(layers.Conv2D(6, 3, padding="same", name="conv")(stem)))
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.SeparableConv2D(4, 3, padding="same", name="separable")(x)
    x = layers.Add()([stem, layers.BatchNormalization(name="stream")(x)])
    model = keras.Model(image, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(x)))
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(random.normal(size=variable.shape))
    return model


def added(network, *, searching, weight_decay=0.1, gamma_l1=0.01):
    """What is added to zero gradients, by the path of the variable."""
    regularization = Regularization(network, find_channel_groups(network), weight_decay=weight_decay, gamma_l1=gamma_l1)
    variables = network.trainable_variables
    gradients = [tf.zeros(variable.shape) for variable in variables]
    gradients = regularization.add_to(gradients, variables, searching=searching)
    return {v.path: (np.asarray(g), np.asarray(v)) for g, v in zip(gradients, variables, strict=True)}


def test_only_kernels_of_full_convolutions_and_dense_layers_decay(network):
    penalties = added(network, searching=False)
    assert {path for path, (gradient, _) in penalties.items() if gradient.any()} == {
        "stem/kernel",
        "conv/kernel",
        "separable/pointwise_kernel",
        "logits/kernel",
    }
    gradient, value = penalties["conv/kernel"]
    np.testing.assert_allclose(gradient, 0.1 * value, rtol=1e-6)


def test_gammas_that_rank_channels_are_pulled_to_zero_while_structures_are_searched(network):
    penalties = added(network, searching=True, weight_decay=0.0)
    assert {path for path, (gradient, _) in penalties.items() if gradient.any()} == {"ranking/gamma"}
    gradient, value = penalties["ranking/gamma"]
    np.testing.assert_allclose(gradient, 0.01 * np.sign(value), rtol=1e-6)


def test_the_penalties_are_added_to_the_gradients(network):
    variables = network.trainable_variables
    regularization = Regularization(network, find_channel_groups(network), weight_decay=0.5, gamma_l1=0.0)
    ones = [tf.ones(variable.shape) for variable in variables]
    both = regularization.add_to(ones, variables, searching=True)
    np.testing.assert_allclose(both[0], 1.0 + 0.5 * np.asarray(variables[0]), rtol=1e-6)


def test_regularizers_that_layers_bring_are_added_once_whatever_stands_for_their_weights():
    layers = keras.layers
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, use_bias=False, kernel_regularizer=keras.regularizers.L1(0.25), name="conv")(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    kernel, groups = model.get_layer("conv").kernel, find_channel_groups(model)
    copy = keras.Variable(-np.asarray(kernel))
    regularization = Regularization(model, groups, weight_decay=0.0, gamma_l1=0.0, originals={id(copy): kernel})
    for variable in (kernel, copy):
        (penalty,) = regularization.add_to([tf.zeros(kernel.shape)], [variable], searching=False)
        np.testing.assert_allclose(penalty, 0.25 * np.sign(variable))


def test_decay_can_be_left_to_what_one_structure_keeps(network):
    groups = find_channel_groups(network)
    keep = np.ones(groups.size, bool)
    keep[groups.groups[0].start + 2] = False  # Of the six that `conv` makes and `separable` reads.
    regularization = Regularization(network, groups, weight_decay=0.5, gamma_l1=0.0)
    regularization.decay_only(network.weights, ChannelMask(groups.groups, keep))
    other = keras.Variable(np.ones((2, 2), np.float32))
    variables = network.trainable_variables
    gradients = regularization.add_to(
        [tf.zeros(v.shape) for v in (*variables, other)], [*variables, other], searching=False
    )
    given = {v.path: np.asarray(gradient) for v, gradient in zip(variables, gradients[:-1], strict=True)}
    values = {v.path: np.asarray(v) for v in variables}
    expected = 0.5 * values["conv/kernel"]
    expected[..., 2] = 0.0
    np.testing.assert_allclose(given["conv/kernel"], expected)
    expected = 0.5 * values["separable/pointwise_kernel"]
    expected[:, :, 2] = 0.0
    np.testing.assert_allclose(given["separable/pointwise_kernel"], expected)
    np.testing.assert_allclose(given["stem/kernel"], 0.5 * values["stem/kernel"])
    assert not gradients[-1].numpy().any()  # A variable that the structure does not run on.
