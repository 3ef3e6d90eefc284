"""Each option changes what it should, against numbers computed another way."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.pruning.channel_mask import MaskRules
from ofar_tf.pruning.importance import channel_importance
from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.training.once_for_all import OnceForAll
from ofar_tf.training.optimizer_state import averaged_weights
from ofar_tf.training.recipe import Recipe
from tests.training.recording_sgd import RecordingSGD


@pytest.fixture
def frozen(trainer_builder, supernet_builder, mask_drawer, pool_maker):
    """Builds a trainer of four frozen structures, always with the same weights."""

    def build(**arguments):
        model = trainer_builder(supernet_builder(), **{"seed": 5, **arguments})
        model.freeze(pool_maker(model, mask_drawer(model)))
        return model

    return build


def gradients_of(model, images, labels):
    model.compile(RecordingSGD(0.0))
    model.train_step((tf.constant(images), tf.constant(labels)))
    return model.optimizer.given


def assert_close(actual, expected, *, rtol=1e-3, atol=1e-5):
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)


def test_a_batch_in_parts_gives_the_mean_of_the_parts_gradients(frozen, batch):
    images, labels = batch
    halves = [gradients_of(frozen(), images[part], labels[part]) for part in (slice(0, 5), slice(5, 10))]
    accumulated = gradients_of(frozen(gradient_accumulation=2), images, labels)
    assert_close(accumulated, [(a + b) / 2 for a, b in zip(*halves, strict=True)])


def test_losses_and_accuracy_of_parts_are_those_of_the_batch(frozen, batch):
    logs = {}
    for parts, (images, labels) in ((1, batch), (2, [np.concatenate([part, part]) for part in batch])):
        # Both halves are the same batch, so that BatchNorm sees the same statistics.
        model = frozen(gradient_accumulation=parts)
        model.compile(keras.optimizers.SGD(0.0))
        logs[parts] = model.train_step((tf.constant(images), tf.constant(labels)))
    for name, value in logs[1].items():
        assert float(logs[2][name]) == pytest.approx(float(value), rel=1e-4)


def test_a_batch_that_the_parts_do_not_divide_is_refused(frozen, batch):
    with pytest.raises(ValueError, match="a batch that 3 parts divide"):
        gradients_of(frozen(gradient_accumulation=3), *batch)


def test_clipping_shortens_the_gradient_and_leaves_the_penalty_alone(frozen, batch):
    free = gradients_of(frozen(), *batch)
    norm = np.sqrt(sum(np.sum(gradient**2) for gradient in free))
    clipped = gradients_of(frozen(clip_norm=norm / 4), *batch)
    assert_close(clipped, [gradient / 4 for gradient in free])
    assert_close(gradients_of(frozen(clip_norm=norm * 2), *batch), free)
    model = frozen(clip_norm=norm / 4, weight_decay=0.5)
    decayed = {"stem/kernel", "last/kernel", "logits/kernel"}
    decay = [0.5 * np.asarray(v) if v.path in decayed else 0.0 for v in model.supernet.trainable_variables]
    assert_close(gradients_of(model, *batch), [c + d for c, d in zip(clipped, decay, strict=True)])


def test_label_smoothing_mixes_the_labels_with_the_uniform_distribution(frozen, batch):
    images, labels = batch
    smooth = 0.7 * np.eye(3, dtype=np.float32)[labels] + 0.1
    smoothed = gradients_of(frozen(label_smoothing=0.3), images, labels)
    assert_close(smoothed, gradients_of(frozen(), images, smooth))


@pytest.mark.slow
def test_xla_gives_the_same_step(frozen, batch):
    after = []
    for jit_compile in (False, True):
        model = frozen(jit_compile=jit_compile)
        model.compile(keras.optimizers.SGD(1.0))
        before = model.supernet.get_weights()
        tf.function(model.train_step)((tf.constant(batch[0]), tf.constant(batch[1])))
        after.append(model.supernet.get_weights())
    assert_close(*after)
    assert not np.allclose(after[0][0], before[0])
    with pytest.raises(ValueError, match="jit_compile in the StepSpec of OnceForAll"):
        model.compile("sgd", jit_compile=True)


@pytest.mark.parametrize("policy", [pytest.param("mixed_bfloat16", marks=pytest.mark.slow), "mixed_float16"])
def test_mixed_precision_gives_nearly_the_same_gradients_and_leaves_weights_float32(frozen, batch, policy):
    exact = np.concatenate([gradient.ravel() for gradient in gradients_of(frozen(), *batch)])
    model = frozen(dtype_policy=policy)
    model.compile(keras.optimizers.SGD(1.0))
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (policy == "mixed_float16")
    before = [np.asarray(variable) for variable in model.supernet.trainable_variables]
    model.train_step((tf.constant(batch[0]), tf.constant(batch[1])))
    after = [np.asarray(variable) for variable in model.supernet.trainable_variables]
    mixed = np.concatenate([(old - new).ravel() for old, new in zip(before, after, strict=True)])
    cosine = mixed @ exact / np.linalg.norm(mixed) / np.linalg.norm(exact)
    assert 0.99 < cosine < 1.0 - 1e-9  # Not exact: it was computed in another format.
    assert np.linalg.norm(mixed) == pytest.approx(np.linalg.norm(exact), rel=0.05)
    assert {weight.dtype for weight in model.supernet.weights} == {"float32"}


def test_a_step_that_overflows_changes_nothing_but_the_scale_of_the_loss(frozen, batch):
    model = frozen(dtype_policy="mixed_float16", weight_decay=0.1, clip_norm=1.0)
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0), initial_scale=2.0**40))
    before = model.supernet.get_weights()
    tf.function(model.train_step)((tf.constant(batch[0]), tf.constant(batch[1])))
    assert float(model.optimizer.dynamic_scale) == 2.0**39
    assert int(model.optimizer.iterations) == 0
    assert_close(model.supernet.get_weights(), before, rtol=0, atol=0)


def test_averages_are_those_computed_by_hand_and_only_lent(frozen, batch):
    model = frozen()
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.75))
    average, step = None, tf.function(model.train_step)
    for _ in range(3):
        step((tf.constant(batch[0]), tf.constant(batch[1])))
        present = [np.asarray(variable) for variable in model.trainable_variables]
        pairs = zip(present, average or present, strict=True)
        average = [0.25 * new + 0.75 * old for new, old in pairs]
    with model.averaged_weights():
        assert_close(model.trainable_variables, average, rtol=1e-4)
    assert_close(model.trainable_variables, present, rtol=0, atol=0)


def test_without_averages_or_steps_the_weights_themselves_are_measured(frozen):
    for optimizer in (keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1, use_ema=True)):
        model = frozen()
        model.compile(optimizer)
        before = model.supernet.get_weights()
        with averaged_weights(model.optimizer, model.trainable_variables):
            assert_close(model.supernet.get_weights(), before, rtol=0, atol=0)


def fit(model, batch, *, epochs, search_epochs):
    data = tf.data.Dataset.from_tensors(batch).repeat()
    return model.fit(data, steps_per_epoch=2, epochs=epochs, verbose=0, callbacks=[MaskSearch(epochs=search_epochs)])


@pytest.mark.parametrize("batch_norm", ["calibrated", "switchable"])
def test_averages_begin_anew_when_structures_are_frozen_and_are_what_fit_leaves(
    trainer_builder, supernet_builder, batch, batch_norm
):
    model = trainer_builder(supernet_builder(), batch_norm=batch_norm)
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.999))
    fit(model, batch, epochs=2, search_epochs=1)
    averages = [slot for slot in model.optimizer.variables if slot.name.endswith("_average")]
    assert_close(model.trainable_variables, averages, rtol=0, atol=0)
    for structure in range(4):
        for own, whole in zip(model.pool_weights.of(structure), model.supernet.weights, strict=True):
            # Two steps at a momentum of 0.999 hardly leave where the search ended, which is where both began.
            np.testing.assert_allclose(own, whole, atol=5e-3)


def test_after_the_search_training_may_begin_anew_with_the_initial_weights(trainer_builder, supernet_builder, batch):
    model = trainer_builder(supernet_builder(), after_search="reinitialize")
    initial = model.supernet.get_weights()
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    fit(model, batch, epochs=1, search_epochs=1)
    assert not model.searching
    assert_close(model.supernet.get_weights(), initial, rtol=0, atol=0)
    assert all(not np.asarray(slot).any() for slot in model.optimizer.momentums)
    kept = trainer_builder(supernet_builder())
    kept.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    fit(kept, batch, epochs=1, search_epochs=1)
    assert [list(mask.keep) for mask in kept.masks] == [list(mask.keep) for mask in model.masks]
    assert not np.allclose(kept.supernet.get_weights()[0], initial[0])


def test_channels_can_be_ranked_by_the_moving_averages_of_the_weights(trainer_builder, batch):
    model = trainer_builder(rank_by="ema")
    with pytest.raises(ValueError, match="use_ema=True"):
        model.compile(keras.optimizers.SGD(0.1))
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    model.train_step((tf.constant(batch[0]), tf.constant(batch[1])))
    averages = [slot for slot in model.optimizer.variables if slot.name.endswith("_average")]
    for average, variable in zip(averages, model.trainable_variables, strict=True):
        if variable.path == "last_bn/gamma":
            # The weights themselves rank the other way round.
            variable.assign([6, 5, 4, 3, 2, 1])
            average.assign([1, 2, 3, 4, 5, 6])
    last = next(group for group in model.groups.groups if group.size == 6)
    keep = model.derive_masks()[-1].keep[last.channels]
    assert keep.tolist() == sorted(keep) and not keep.all()
    variable = next(v for v in model.trainable_variables if v.path == "last_bn/gamma")
    assert np.asarray(variable).tolist() == [6, 5, 4, 3, 2, 1]
    other = trainer_builder(supernet=model.supernet)
    keep = other.derive_masks()[-1].keep[last.channels]
    assert keep.tolist() == sorted(keep, reverse=True)


@pytest.mark.parametrize(("criterion", "parts"), [("taylor", 1), ("taylor_adaptive", 2)])
def test_taylor_sums_weight_times_gradient_of_the_whole_network_until_masks_are_taken(
    trainer_builder, mask_drawer, batch, criterion, parts
):
    model = trainer_builder(importance=criterion, gradient_accumulation=parts)
    images, labels = batch
    halves = [(tf.constant(images[:5]), tf.constant(labels[:5])), (tf.constant(images[5:]), tf.constant(labels[5:]))]
    model.compile(keras.optimizers.SGD(0.0))
    alone = trainer_builder(model.supernet)
    alone.compile(RecordingSGD(0.0))
    expected = []
    for half in halves:  # Before the first masks the whole network runs alone.
        alone.train_step(half)
        given = zip(alone.supernet.trainable_variables, alone.optimizer.given, strict=True)
        product = {variable.path: np.asarray(variable) * gradient for variable, gradient in given}
        expected.append(np.abs([*product["last/kernel"].sum(axis=(0, 1, 3)), *product["logits/kernel"].sum(axis=1)]))
    for data in halves if parts == 1 else [(tf.constant(images), tf.constant(labels))]:
        model.train_step(data)
    np.testing.assert_allclose(model.sensitivity, np.sum(expected, axis=0) / parts, rtol=1e-3)
    scores = channel_importance(
        model.groups, model.supernet.weights, criterion=criterion, sensitivity=model.sensitivity
    )
    keep = model.derive_masks()[-1].keep
    assert not keep.all() and scores[keep].min() >= scores[~keep].max()
    model.set_masks(mask_drawer(model), frozen=[False] * 4)
    assert not np.asarray(model.sensitivity).any()


@pytest.mark.parametrize("side", [None, pytest.param(10, marks=pytest.mark.slow)])
def test_a_fixed_teacher_joins_what_the_largest_network_learns_and_no_other(
    trainer_builder, mask_drawer, pool_maker, batch, side
):
    inputs = keras.Input((side, side, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs))
    teacher = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalMaxPooling2D()(x)))
    teacher.trainable = False
    images, labels = tf.constant(batch[0]), tf.constant(batch[1])
    said = tf.nn.softmax(teacher(images if side is None else tf.image.resize(images, [side, side])))
    mixed = 0.75 * np.eye(3, dtype=np.float32)[batch[1]] + 0.25 * said
    losses = []
    for options, targets in (({"teacher": teacher, "teacher_share": 0.25}, labels), ({}, mixed)):
        model = trainer_builder(distillation="none", gradient_accumulation=1, **options)
        model.compile(keras.optimizers.SGD(0.0))
        model.freeze(pool_maker(model, mask_drawer(model)))
        losses.append(model.train_step((images, targets)))
    plain = trainer_builder(distillation="none")
    plain.compile(keras.optimizers.SGD(0.0))
    plain.freeze(pool_maker(plain, mask_drawer(plain)))
    by_labels = plain.train_step((images, labels))
    # The largest learns the mixture; the divergence from it is less than the cross-entropy by the mixture's entropy.
    np.testing.assert_allclose(losses[0]["teacher_loss"], losses[1]["teacher_loss"], rtol=1e-3)
    assert abs(float(losses[0]["teacher_loss"]) - float(by_labels["teacher_loss"])) > 1e-3
    for name in ("assistant_1_loss", "assistant_2_loss", "student_loss"):
        np.testing.assert_allclose(losses[0][name], by_labels[name], rtol=1e-4)
    trained = {id(variable) for variable in model.trainable_variables}
    assert not trained & {id(variable) for variable in teacher.weights}


def test_a_recipe_makes_the_step_and_the_optimizer_of_a_model(trainer_builder, batch):
    recipe = Recipe.finetune(images=30, batch_size=10, epochs=4, learning_rate=0.02)
    spec = recipe.step_spec(distillation="star")
    assert (spec.head_epochs, spec.body_learning_rate, spec.decoupled_weight_decay) == (1, 0.3, True)
    assert spec.distillation == "star"
    model = trainer_builder(
        importance=recipe.importance, **{name: getattr(spec, name) for name in ("head_epochs", "body_learning_rate")}
    )
    model.compile(recipe.optimizer_of(model, steps_per_epoch=3))
    # Three steps for the head at the full rate, then an epoch of warm-up, in thirds.
    rates = [float(model.optimizer._learning_rate(step)) for step in range(7)]
    assert rates == pytest.approx([0.02, 0.02, 0.02, 0.02 / 3, 0.04 / 3, 0.02, 0.02])
    assert isinstance(model.optimizer, keras.optimizers.Adam) and model.optimizer.use_ema


def test_a_recipe_trains_a_model_from_its_head_to_its_last_epoch(supernet_builder, batch):
    images, labels = batch
    half = len(images) // 2
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(half).repeat()
    recipe = Recipe.finetune(images=len(images), epochs=4, batch_size=half)
    pool = recipe.pool_spec(pruning_rates=[0.0, 0.5], resolutions=[images.shape[1]], rules=MaskRules(1, 1))
    assert pool.importance == "taylor_adaptive"
    model = OnceForAll(supernet_builder(), pool=pool, step=recipe.step_spec())
    phases = []
    seen = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: phases.append(model.phase))
    history = recipe.fit(model, batches, steps_per_epoch=2, callbacks=[seen], verbose=0)
    assert len(history.epoch) == recipe.epochs == 4
    assert phases[0] == "head" and phases[1] == "search" and phases[-1] == "joint"


def test_a_search_of_ones_own_takes_the_place_of_the_recipes(supernet_builder, batch):
    images, labels = batch
    recipe = Recipe.usual(images=len(images), epochs=1)
    pool = recipe.pool_spec(pruning_rates=[0.0, 0.5], resolutions=[images.shape[1]], rules=MaskRules(1, 1))
    assert pool.importance == "gamma"  # Nobody said.
    model = OnceForAll(supernet_builder(), pool=pool, step=recipe.step_spec())
    own = MaskSearch(epochs=0)
    recipe.fit(model, tf.data.Dataset.from_tensors((images, labels)), steps_per_epoch=1, callbacks=own, verbose=0)
    assert model.pool is not None and own.tracker.history
