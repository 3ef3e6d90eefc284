"""The step against an independent computation: four stock Keras networks, one tape each, summed by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.slicing import gates_of, kept_indices
from ofar_tf.pruning.subnet import extract_subnet
from ofar_tf.training.sandwich import SandwichRule
from tests.training.recording_sgd import RecordingSGD

STEP = 3
DECAYED = {"stem/kernel", "last/kernel", "logits/kernel"}
RANKING = {"stem_bn/gamma", "depthwise_bn/gamma", "last_bn/gamma"}


def divergence_of(name, target, logits):
    student = tf.nn.log_softmax(logits)
    if name == "forward":
        terms = -target * student  # Less the entropy of the target, which has no gradient.
    else:
        terms = tf.exp(student) * (student - tf.math.log(tf.maximum(target, 1e-12)))
    return tf.reduce_sum(terms) / len(logits)


def expected_gradients(
    model, masks, *, images, target, resolutions, structures, divergence="forward", distillation="chain"
):
    """Sums over the four networks the gradients of stock Keras subnets, put back where they were cut out."""
    supernet, groups = model.supernet, model.groups
    labels = target
    total = [np.zeros(variable.shape) for variable in supernet.weights]
    for index, resolution in zip(structures, resolutions, strict=True):
        mask = masks[index]
        subnet = extract_subnet(supernet, groups, mask)
        with tf.GradientTape() as tape:
            resized = tf.image.resize(images, [resolution, resolution], method="bilinear", antialias=False)
            logits = subnet(resized, training=True)
            of_labels = divergence_of("forward", labels, logits)
            mixed = 0.5 * divergence_of(divergence, target, logits) + 0.5 * of_labels
            loss = of_labels if target is labels else mixed
        gradients = tape.gradient(loss, subnet.trainable_variables)
        positions = {id(variable): position for position, variable in enumerate(subnet.weights)}
        for variable, gradient in zip(subnet.trainable_variables, gradients, strict=True):
            position = positions[id(variable)]
            axes = kept_indices(groups, mask)[position]
            shape = supernet.weights[position].shape
            where = np.ix_(*(axes.get(axis, np.arange(size)) for axis, size in enumerate(shape)))
            total[position][where] += gradient
        if distillation == "chain" or (distillation == "star" and target is labels):
            target = tf.nn.softmax(logits)
    trainable = {id(variable) for variable in supernet.trainable_variables}
    return [t for t, variable in zip(total, supernet.weights, strict=True) if id(variable) in trainable]


def one_step(model, batch, *, learning_rate=0.1):
    """Runs step number STEP; returns the given gradients, and the weights before and after."""
    model.compile(RecordingSGD(learning_rate))
    model.optimizer.iterations.assign(STEP)
    model.make_train_function()  # Here steps are counted on from the optimizer's.
    before = [np.array(variable) for variable in model.supernet.trainable_variables]
    model.train_step((tf.constant(batch[0]), tf.constant(batch[1])))
    return model.optimizer.given, before, [np.array(variable) for variable in model.supernet.trainable_variables]


def drawn(model):
    rule = SandwichRule(len(model.budgets), model.resolutions, seed=model.seed)
    structures, sizes = rule.draw(tf.constant(STEP))
    return {"structures": [int(index) for index in structures], "resolutions": [int(size[0]) for size in sizes]}


@pytest.mark.parametrize("divergence", ["forward", "reverse"])
@pytest.mark.parametrize("mode", ["masked", "sliced"])
def test_the_gradient_of_a_step_is_the_sum_of_the_four_networks_gradients(
    trainer_builder, mask_drawer, pool_maker, batch, mode, divergence
):
    model = trainer_builder(
        search_resolutions=[8, 12], divergence=divergence, weight_decay=0.02, gamma_l1=0.003, seed=5
    )
    masks = mask_drawer(model)
    if mode == "masked":
        model.set_masks(masks, frozen=[True] * 4)
    else:
        model.freeze(pool_maker(model, masks))
    plan = drawn(model)
    assert len(set(plan["resolutions"])) == 2  # The seed was chosen so: both resolutions are drawn.
    gradients = expected_gradients(
        model, masks, images=batch[0], target=tf.one_hot(batch[1], 3), divergence=divergence, **plan
    )
    given, before, after = one_step(model, batch)
    for variable, actual, expected, old, new in zip(
        model.supernet.trainable_variables, given, gradients, before, after, strict=True
    ):
        decay = 0.02 * old if variable.path in DECAYED else 0.0
        sparsity = 0.003 * np.sign(old) if variable.path in RANKING and mode == "masked" else 0.0
        np.testing.assert_allclose(actual, expected + decay + sparsity, rtol=1e-3, atol=2e-5, err_msg=variable.path)
        np.testing.assert_allclose(new, old - 0.1 * actual, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("distillation", ["star", "none"])
def test_networks_may_all_learn_from_the_largest_or_from_the_labels(
    trainer_builder, mask_drawer, pool_maker, batch, distillation
):
    model = trainer_builder(distillation=distillation, divergence="reverse", seed=5)
    masks, plan = mask_drawer(model), drawn(model)
    model.freeze(pool_maker(model, masks))
    gradients = expected_gradients(
        model,
        masks,
        images=batch[0],
        target=tf.one_hot(batch[1], 3),
        divergence="reverse",
        distillation=distillation,
        **plan,
    )
    given, *_ = one_step(model, batch)
    for actual, expected in zip(given, gradients, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=2e-5)


def test_while_structures_are_searched_the_teacher_is_whole_until_its_own_structure_is_frozen(
    trainer_builder, mask_drawer, batch
):
    model = trainer_builder(pruning_rates=[0.25, 0.4, 0.5, 0.6], search_resolutions=[8, 12])
    masks, plan = mask_drawer(model), drawn(model)
    whole = [ChannelMask.full(model.groups), *masks[1:]]
    expected = {
        frozen: expected_gradients(model, used, images=batch[0], target=tf.one_hot(batch[1], 3), **plan)
        for frozen, used in ((False, whole), (True, masks))
    }
    for frozen in (False, True):
        model.set_masks(masks, frozen=[frozen, False, False, True])
        given, *_ = one_step(model, batch, learning_rate=0.0)
        for actual, correct in zip(given, expected[frozen], strict=True):
            np.testing.assert_allclose(actual, correct, rtol=1e-3, atol=2e-5)
    assert model.masks == masks


def test_two_structures_make_a_sandwich_of_four(trainer_builder, mask_drawer, pool_maker, batch):
    model = trainer_builder(pruning_rates=[0.2, 0.6], seed=2)
    masks, plan = mask_drawer(model), drawn(model)
    model.freeze(pool_maker(model, masks))
    gradients = expected_gradients(model, masks, images=batch[0], target=tf.one_hot(batch[1], 3), **plan)
    given, *_ = one_step(model, batch)
    for actual, expected in zip(given, gradients, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=2e-5)


def test_masked_and_sliced_training_of_the_same_masks_give_the_same_weights(
    trainer_builder, supernet_builder, mask_drawer, pool_maker, batch
):
    trained = []
    for mode in ("masked", "sliced"):
        model = trainer_builder(supernet_builder(), search_resolutions=[8, 12], weight_decay=0.01)
        masks = mask_drawer(model)
        if mode == "masked":
            model.set_masks(masks, frozen=[True] * 4)
        else:
            model.freeze(pool_maker(model, masks))
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True))
        step = tf.function(model.train_step)
        for _ in range(4):
            step((tf.constant(batch[0]), tf.constant(batch[1])))
        trained.append([np.array(weight) for weight in model.supernet.weights])
    start = [np.array(weight) for weight in supernet_builder().weights]
    for masked, sliced in zip(*trained, strict=True):
        np.testing.assert_allclose(masked, sliced, rtol=1e-3, atol=1e-4)
    assert max(np.abs(new - old).max() for new, old in zip(trained[0], start, strict=True)) > 0.05


def test_labels_may_be_classes_a_column_of_classes_or_probabilities(trainer_builder, batch):
    images, labels = batch
    model, given = trainer_builder(), []
    for form in (labels, labels[:, None], np.eye(3)[labels]):
        given.append(one_step(model, (images, form), learning_rate=0.0)[0])
    for classes, column, probabilities in zip(*given, strict=True):
        np.testing.assert_array_equal(column, classes)
        np.testing.assert_array_equal(probabilities, classes)


@pytest.mark.parametrize("shape", [(10, 4), (10, 3, 1), ()])
def test_labels_of_another_shape_are_refused(trainer_builder, batch, shape):
    model = trainer_builder()
    with pytest.raises(ValueError, match=r"labels of shape \[B\], \[B, 1\] or \[B, 3\]"):
        one_step(model, (batch[0], np.zeros(shape)))


def test_before_the_first_masks_the_teacher_runs_alone_which_gives_the_same_step_in_less_time(trainer_builder, batch):
    alone, all_four = (trainer_builder(seed=1, student_labels=0.0) for _ in range(2))
    all_four.set_masks([ChannelMask.full(all_four.groups)] * 4, frozen=[False] * 4)
    given, _, after = one_step(alone, batch)
    expected, _, expected_after = one_step(all_four, batch)
    for actual, correct in zip([*given, *after], [*expected, *expected_after], strict=True):
        np.testing.assert_allclose(actual, correct, rtol=1e-3, atol=1e-6)


def test_before_the_first_masks_no_student_runs(trainer_builder, mask_drawer, batch):
    model = trainer_builder(seed=1)
    # Students would lose something if they were others than their teacher.
    model._sandwich.gates.assign(gates_of(mask_drawer(model)))
    one_step(model, batch)
    assert [float(metric.result()) > 0.0 for metric in model.metrics[:4]] == [True, False, False, False]
    model.set_masks(mask_drawer(model), frozen=[False] * 4)
    one_step(model, batch)
    assert [float(metric.result()) > 0.0 for metric in model.metrics[:4]] == [True, True, True, True]


def test_several_search_resolutions_run_all_four_networks_from_the_first_step(trainer_builder, batch):
    model = trainer_builder(search_resolutions=[8, 12])
    one_step(model, batch)
    assert sum(float(metric.result()) for metric in model.metrics[1:4]) > 0.0


@pytest.mark.parametrize("mode", ["masked", "sliced"])
def test_layers_that_the_user_froze_run_on_the_supernets_own_values(
    trainer_builder, supernet_builder, mask_drawer, pool_maker, batch, mode
):
    supernet = supernet_builder()
    for name in ("stem", "stem_bn"):
        supernet.get_layer(name).trainable = False
    model = trainer_builder(supernet, search_resolutions=[8, 12])
    masks, plan = mask_drawer(model), drawn(model)
    if mode == "masked":
        model.set_masks(masks, frozen=[True] * 4)
    else:
        model.freeze(pool_maker(model, masks))
    gradients = expected_gradients(model, masks, images=batch[0], target=tf.one_hot(batch[1], 3), **plan)
    given, *_ = one_step(model, batch)
    for actual, expected in zip(given, gradients, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=2e-5)


def test_a_search_by_the_largest_network_alone_trains_what_the_teacher_of_a_sandwich_learns(trainer_builder, batch):
    alone = trainer_builder(search_networks="largest", search_resolutions=[8, 12])
    full = ChannelMask.full(alone.groups)
    expected = expected_gradients(
        alone, [full], images=batch[0], target=tf.one_hot(batch[1], 3), resolutions=[12], structures=[0]
    )
    given, *_ = one_step(alone, batch)
    for actual, correct in zip(given, expected, strict=True):
        np.testing.assert_allclose(actual, correct, rtol=1e-3, atol=2e-5)
    assert [(metric.name, float(metric.count)) for metric in alone.metrics] == [("teacher_loss", 1), ("accuracy", 1)]


def test_images_may_count_more_or_less_for_every_network(trainer_builder, mask_drawer, pool_maker, batch):
    # An image that counts twice is the same as one that is there twice, where BatchNorm sees the same statistics.
    images, labels = batch
    model = trainer_builder(seed=5)
    model.freeze(pool_maker(model, mask_drawer(model)))
    model.compile(RecordingSGD(0.0))
    grown = {}
    for name, weights in (("none", None), ("ones", np.ones(10)), ("twice", np.full(10, 2.0)), ("first", np.eye(10)[0])):
        model.optimizer.iterations.assign(STEP)
        model.make_train_function(force=True)
        model.train_step(
            (tf.constant(images), tf.constant(labels), weights if weights is None else tf.constant(weights))
        )
        grown[name] = model.optimizer.given
    for none, ones, twice in zip(grown["none"], grown["ones"], grown["twice"], strict=True):
        np.testing.assert_array_equal(none, ones)
        np.testing.assert_allclose(twice, 2 * none, rtol=1e-3, atol=1e-5)
    assert not np.allclose(grown["first"][0], grown["none"][0])
