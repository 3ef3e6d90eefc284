"""Activations that are functions of the user's: those of single numbers let channels pass, and no others."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from ofar_tf.pruning.channel_groups import find_channel_groups

register = keras.saving.register_keras_serializable(package="own_activations")


@register
def hard_swish(x: Any) -> Any:
    return x * tf.nn.relu6(x + 3.0) / 6.0


@register
def one_more(x: Any) -> Any:
    return ops.relu(x) + 1.0


@register
def centred(x: Any) -> Any:
    return x - ops.mean(x)


@register
def over_channels(x: Any) -> Any:
    return ops.softmax(x, axis=-1)


@register
def scaled(x: Any) -> Any:
    return x * ops.arange(1.0, 9.0)


def network(function: Any) -> keras.Model:
    image = keras.Input((6, 6, 3))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, name="before")(image))
    x = layers.Conv2D(5, 3, activation=function, name="inside")(layers.Activation(function)(x))
    x = layers.GlobalAveragePooling2D()(layers.BatchNormalization()(x))
    return keras.Model(image, layers.Dense(3)(x))


@pytest.mark.parametrize("function", [hard_swish, one_more])
def test_what_passes_a_function_of_single_numbers_can_be_pruned(
    function: Any, double_precision: None, randomize: Any, random_mask: Any, check_masked_is_sliced: Any
) -> None:
    images = np.random.default_rng(3).normal(size=(4, 6, 6, 3))
    model = randomize(network(function), images)
    groups = find_channel_groups(model)
    assert [(group.name, group.size) for group in groups.groups] == [("before", 8), ("inside", 5)]
    check_masked_is_sliced(model, groups, random_mask(groups, 0.5, seed=1), images=images)


@pytest.mark.parametrize("function", [centred, over_channels, scaled])
def test_a_function_that_may_couple_numbers_keeps_what_passes_it(function: Any) -> None:
    image = keras.Input((6, 6, 3))
    x = layers.Activation(function)(layers.BatchNormalization()(layers.Conv2D(8, 3)(image)))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(5, 3, name="behind")(x)))
    groups = find_channel_groups(keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))))
    assert [group.name for group in groups.groups] == ["behind"]
    assert "Activation 'activation' may couple channels" in {entry.reason for entry in groups.unprunable}
