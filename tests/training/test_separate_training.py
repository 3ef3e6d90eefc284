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


@pytest.mark.parametrize("clip_norm", [pytest.param(1e9, marks=pytest.mark.slow), 0.3])
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
    assert [(metric.name, float(metric.count)) for metric in model.metrics] == [("teacher_loss", 1), ("accuracy", 1)]


@pytest.mark.parametrize("networks_per_step", ["all", "sandwich"])
def test_switchable_batch_norm_trains_the_gammas_of_the_networks_that_ran(
    trainer_builder, mask_drawer, pool_maker, batch, networks_per_step
):
    model = trainer_builder(
        pruning_rates=[0.0, 0.2, 0.3, 0.4, 0.6], batch_norm="switchable", networks_per_step=networks_per_step, seed=1
    )
    model.compile(keras.optimizers.SGD(0.1))
    model.freeze(pool_maker(model, mask_drawer(model)))
    structures, _ = model._sandwich._rules.joint.draw(tf.constant(0))
    ran = {int(index) for index in structures}
    assert len(ran) == (5 if networks_per_step == "all" else 4)
    before = model.supernet.get_weights()
    model.train_step((tf.constant(batch[0]), tf.constant(batch[1])))
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


@pytest.mark.parametrize("ema_momentum", [pytest.param(None, marks=pytest.mark.slow), 0.5])
def test_after_joint_training_each_structure_trains_on_as_if_alone_from_its_slice(
    trainer_builder, mask_drawer, pool_maker, batch, ema_momentum
):
    model = trainer_builder(training_resolutions=[12], weight_decay=0.02, finetune_structures=2)
    masks = mask_drawer(model)
    averages = {"use_ema": True, "ema_momentum": ema_momentum} if ema_momentum else {}
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True, **averages))
    model.freeze(pool_maker(model, masks))
    given = tf.constant(batch[0]), tf.constant(batch[1])
    for _ in range(2):
        model.train_step(given)
    assert model.pool_weights.own == []
    with model.averaged_weights():
        alone = [extract_subnet(model.supernet, model.groups, mask) for mask in masks]
    untouched = model.supernet.get_weights()
    model.finetune()
    assert model.phase == "finetune"
    step = tf.function(model.train_step)
    for _ in range(STEPS):
        step(given)
    for mask, subnet in zip(masks, alone, strict=True):
        train_alone(subnet, batch, weight_decay=0.02, clip_norm=1e9)
        trainable = {id(variable) for variable in subnet.trainable_variables}
        for expected, actual in zip(subnet.weights, cut_out(model, mask), strict=True):
            if id(expected) in trainable:
                np.testing.assert_allclose(actual, expected, rtol=2e-3, atol=1e-4, err_msg=expected.path)
    for before, after in zip(untouched, model.supernet.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_structures_that_train_alone_all_see_every_resolution_and_learn_from_labels_only(
    trainer_builder, mask_drawer, pool_maker, batch
):
    model = trainer_builder(pruning_rates=[0.0, 0.3, 0.4, 0.5, 0.6], finetune_structures=1)
    model.compile(keras.optimizers.SGD(0.0))
    model.freeze(pool_maker(model, mask_drawer(model)))
    assert [metric.name for metric in model.metrics[:-1]] == [
        "teacher_loss",
        "assistant_1_loss",
        "assistant_2_loss",
        "student_loss",
    ]
    model.finetune()
    structures, _ = model._sandwich.rule.draw(tf.constant(0))
    assert [int(index) for index in structures] == [0, 1, 2, 3, 4]
    seen = {(i, int(s[0])) for step in range(12) for i, s in enumerate(model._sandwich.rule.draw(tf.constant(step))[1])}
    assert seen == {(structure, side) for structure in range(5) for side in (8, 12)}
    losses = model.train_step((tf.constant(batch[0]), tf.constant(batch[1])))
    # A student that learned from an equal teacher would lose nothing.
    assert all(float(losses[name]) > 0.05 for name in losses if name.endswith("_loss"))
    assert "assistant_3_loss" in losses


def test_fit_begins_it_before_its_last_epochs_and_refuses_to_while_structures_are_searched(
    trainer_builder, mask_drawer, pool_maker, batch
):
    model = trainer_builder(finetune_structures=2)
    model.compile(keras.optimizers.SGD(0.01))
    phases = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(model.phase))
    seen: list[str] = []
    with pytest.raises(ValueError, match="frozen before each trains on alone"):
        model.finetune()
    model.freeze(pool_maker(model, mask_drawer(model)))
    model.fit(*batch, batch_size=10, epochs=3, callbacks=[phases], verbose=0)
    assert seen == ["joint", "finetune", "finetune"]
    other = trainer_builder()
    other.freeze(pool_maker(other, mask_drawer(other)))
    with pytest.raises(ValueError, match="finetune_structures of at least 1"):
        other.finetune()
    with pytest.raises(ValueError, match="none with separate weights"):
        trainer_builder(finetune_structures=1, weights="separate")
