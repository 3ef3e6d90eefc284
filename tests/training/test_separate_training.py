"""Networks that do not share: each must be what it would be if it had been trained alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.pruning.slicing import kept_indices, slice_array
from ofar_tf.pruning.subnet import extract_subnet

DECAYED = {"stem/kernel", "last/kernel", "logits/kernel"}
STEPS = 4


def sgd():
    return keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)


def train_alone(subnet, batch, *, weight_decay, clip_norm):
    """Trains a stock Keras network on the labels, with the penalty written out."""
    optimizer, images = sgd(), tf.constant(batch[0])
    for _ in range(STEPS):
        with tf.GradientTape() as tape:
            loss = keras.losses.sparse_categorical_crossentropy(batch[1], subnet(images, training=True), True)
            loss = tf.reduce_mean(loss)
        variables = subnet.trainable_variables
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, variables), clip_norm)
        decay = [weight_decay if variable.path in DECAYED else 0.0 for variable in variables]
        gradients = [g + d * tf.convert_to_tensor(v) for g, d, v in zip(gradients, decay, variables, strict=True)]
        optimizer.apply(gradients, variables)


def cut_out(model, mask):
    """A structure's own weights, narrowed."""
    indices = kept_indices(model.groups, mask)
    return [slice_array(np.asarray(w), kept) for w, kept in zip(model.weights_of(mask), indices, strict=True)]


@pytest.mark.parametrize("clip_norm", [1e9, 0.3])
def test_structures_with_separate_weights_are_trained_as_if_alone(
    trainer_builder, mask_drawer, pool_maker, batch, clip_norm
):
    model = trainer_builder(
        weights="separate",
        distillation="none",
        networks_per_step="all",
        training_resolutions=[12],
        weight_decay=0.02,
        clip_norm=clip_norm,
    )
    masks = mask_drawer(model)
    alone = [extract_subnet(model.supernet, model.groups, mask) for mask in masks]
    model.compile(sgd())
    model.freeze(pool_maker(model, masks))
    untouched = model.supernet.get_weights()
    step = tf.function(model.train_step)
    for _ in range(STEPS):
        step((tf.constant(batch[0]), tf.constant(batch[1])))
    for mask, subnet in zip(masks, alone, strict=True):
        train_alone(subnet, batch, weight_decay=0.02, clip_norm=clip_norm)
        trainable = {id(variable) for variable in subnet.trainable_variables}
        for expected, actual in zip(subnet.weights, cut_out(model, mask), strict=True):
            if id(expected) in trainable:
                np.testing.assert_allclose(actual, expected, rtol=2e-3, atol=1e-4, err_msg=expected.path)
    for before, after in zip(untouched, model.supernet.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_before_they_exist_the_whole_network_is_trained_alone(trainer_builder, mask_drawer, batch):
    model = trainer_builder(weights="separate", distillation="none", networks_per_step="all")
    model.compile(keras.optimizers.SGD(0.0))
    model.set_masks(mask_drawer(model), frozen=[True] * 4)
    model.train_step((tf.constant(batch[0]), tf.constant(batch[1])))
    assert [float(metric.count) for metric in model.metrics[:4]] == [1, 0, 0, 0]


@pytest.mark.parametrize("networks_per_step", ["all", "sandwich"])
def test_switchable_batch_norm_trains_the_gammas_of_the_networks_that_ran(
    trainer_builder, mask_drawer, pool_maker, batch, networks_per_step
):
    model = trainer_builder(
        pruning_rates=[0.0, 0.2, 0.3, 0.4, 0.6], batch_norm="switchable", networks_per_step=networks_per_step, seed=1
    )
    model.compile(keras.optimizers.SGD(0.1))
    model.freeze(pool_maker(model, mask_drawer(model)))
    structures, _ = model._sandwich._joint_rule.draw(tf.constant(0))
    ran = {int(index) for index in structures}
    assert len(ran) == (5 if networks_per_step == "all" else 4)
    before = model.supernet.get_weights()
    tf.function(model.train_step)((tf.constant(batch[0]), tf.constant(batch[1])))
    for position, variable in enumerate(model.supernet.weights):
        own = [np.asarray(model.pool_weights.of(structure)[position]) for structure in range(5)]
        changed = {structure for structure in range(5) if not np.array_equal(own[structure], before[position])}
        if variable.name in ("gamma", "beta"):
            assert changed == ran
            np.testing.assert_array_equal(variable, before[position])
        elif "moving" not in variable.name:
            assert changed == set(range(5))


def test_the_gradient_of_an_own_gamma_is_that_of_its_own_networks_alone(
    trainer_builder, mask_drawer, pool_maker, batch
):
    # Two structures: the sandwich runs each of them at least once, and some of them twice.
    given = {}
    for batch_norm in ("calibrated", "switchable"):
        model = trainer_builder(pruning_rates=[0.2, 0.6], batch_norm=batch_norm, distillation="none", seed=2)
        model.compile(keras.optimizers.SGD(1.0))
        model.freeze(pool_maker(model, mask_drawer(model)))
        before = [np.asarray(variable) for variable in model.supernet.weights]
        model.train_step((tf.constant(batch[0]), tf.constant(batch[1])))
        given[batch_norm] = [
            sum(old - np.asarray(weights[position]) for weights in map(model.pool_weights.of, range(2)))
            for position, old in enumerate(before)
            if model.supernet.weights[position].name in ("gamma", "beta")
        ]
    for shared, own in zip(given["calibrated"], given["switchable"], strict=True):
        np.testing.assert_allclose(own, shared / 2, rtol=1e-3, atol=1e-6)  # The shared one was counted twice.
