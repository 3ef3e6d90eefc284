import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.slicing import gates_of
from ofar_tf.search.pool_weights import PoolWeights
from ofar_tf.tasks.classification.task import Classification
from ofar_tf.training.network_functions import NetworkFunctions


class CountingTask(Classification):
    """Counts how often its loss is asked for; each call is one trace of a network."""

    traces = 0

    def loss(self, *arguments, **named):
        CountingTask.traces += 1
        return super().loss(*arguments, **named)


TASK = Classification(classes=3)


def run(functions, batch, *, index=0, step=0, resolution=12):
    return functions.run(
        tf.constant(index),
        noise=tf.constant(step, tf.int64),
        images=tf.constant(batch[0]),
        size=tf.constant([resolution, resolution]),
        targets=TASK.targets(batch[1]),
    )


@pytest.fixture(scope="module")
def supernet(supernet_builder):
    return supernet_builder()


@pytest.fixture(scope="module")
def masks(trainer_builder, mask_drawer, supernet):
    return mask_drawer(trainer_builder(supernet))


def make(supernet, masks, mode, *, seed=0):
    CountingTask.traces = 0
    functions = NetworkFunctions(supernet, find_channel_groups(supernet), task=CountingTask(classes=3), seed=seed)
    if mode == "masked":
        functions.use_gates(tf.Variable(gates_of(masks)))
    else:
        functions.use_slices(masks, PoolWeights(supernet, structures=len(masks)))
    return functions


@pytest.mark.parametrize(("mode", "traces"), [("masked", 1), pytest.param("sliced", 4, marks=pytest.mark.slow)])
def test_each_structure_is_traced_once_whatever_the_resolutions(supernet, masks, batch, mode, traces):
    functions = make(supernet, masks, mode)

    @tf.function
    def two_networks(first, second, step, size, images, targets):
        arguments = {"noise": step, "images": images, "size": size, "targets": targets}
        taught_by = functions.run(first, **arguments)
        return functions.run(second, lesson=taught_by.lesson, **arguments).loss

    losses = [
        two_networks(
            *map(tf.constant, (first, second, step, [resolution] * 2)), tf.constant(batch[0]), TASK.targets(batch[1])
        )
        for step, (first, second, resolution) in enumerate([(0, 1, 12), (2, 3, 8), (1, 0, 10), (3, 2, 9)])
    ]
    assert CountingTask.traces == traces
    assert two_networks.experimental_get_tracing_count() == 1
    assert len({float(loss) for loss in losses}) == 4


@pytest.mark.parametrize("mode", ["masked", "sliced"])
def test_weights_of_channels_that_a_network_drops_get_no_gradient(supernet, masks, batch, mode):
    functions = make(supernet, masks, mode)
    paths = [variable.path for variable in supernet.trainable_variables]
    for index, mask in enumerate(masks):
        gradients = dict(zip(paths, run(functions, batch, index=index).gradients, strict=True))
        stem, last = np.split(mask.keep, [8])
        for path, kept in (("stem/kernel", stem), ("depthwise_bn/beta", stem), ("last/kernel", last)):
            touched = np.asarray(gradients[path]).reshape(-1, len(kept)).any(axis=0)
            assert not touched[~kept].any()
            assert touched.any()


def test_gates_are_read_at_every_run(supernet, masks, batch):
    gates = tf.Variable(gates_of(masks))
    functions = NetworkFunctions(supernet, find_channel_groups(supernet), task=TASK)
    functions.use_gates(gates)
    before = [run(functions, batch, index=index).loss for index in range(4)]
    gates.assign(tf.reverse(gates, axis=[0]))
    after = [run(functions, batch, index=index).loss for index in range(4)]
    np.testing.assert_array_equal(after, before[::-1])


def test_a_python_index_and_a_tensor_choose_the_same_network(supernet, masks, batch):
    functions = make(supernet, masks, "sliced")
    chosen = tf.function(lambda index: functions.run(index, **arguments).loss)
    arguments = {
        "noise": tf.constant(0),
        "images": tf.constant(batch[0]),
        "size": tf.constant([12, 12]),
        "targets": TASK.targets(batch[1]),
    }
    for index in range(4):
        assert float(chosen(tf.constant(index))) == float(functions.run(index, **arguments).loss)


@pytest.mark.parametrize("mode", ["masked", "sliced"])
def test_dropout_depends_on_seed_and_step_only_and_not_on_when_the_network_was_built(
    supernet_builder, masks, batch, mode
):
    losses = {}
    for build in (0, 1):
        random.seed(build)  # Where Keras takes the seeds of random layers from.
        keras.utils.set_random_seed(build)
        functions = make(supernet_builder(dropout=0.5), masks, mode, seed=3)
        losses[build] = [float(run(functions, batch, index=1, step=step).loss) for step in (0, 1, 0)]
    assert losses[0] == losses[1]
    assert losses[0][0] == losses[0][2] != losses[0][1]
    other = make(supernet_builder(dropout=0.5), masks, mode, seed=4)
    assert float(run(other, batch, index=1).loss) != losses[0][0]


def test_training_leaves_the_moving_statistics_alone(supernet, masks, batch):
    before = [np.array(weight) for weight in supernet.weights]
    functions = make(supernet, masks, "sliced")
    run(functions, batch)
    for old, weight in zip(before, supernet.weights, strict=True):
        np.testing.assert_array_equal(old, weight)


def test_logits_that_a_flattened_map_makes_are_as_many_whatever_the_size_of_the_images(batch):
    image = keras.Input((12, 12, 3))
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, strides=2)(image)))
    network = keras.Model(image, keras.layers.Flatten()(keras.layers.Conv2D(3, 5)(x)))
    functions = NetworkFunctions(network, find_channel_groups(network), task=TASK)
    functions.use_gates(tf.Variable(tf.ones([1, 5])))
    arguments = {"noise": tf.constant(0), "images": tf.constant(batch[0]), "targets": TASK.targets(batch[1])}
    lesson = tf.function(lambda size: functions.run(tf.constant(0), size=size, **arguments).lesson)
    assert lesson.get_concrete_function(tf.TensorSpec([2], tf.int32)).structured_outputs.shape[-1] == 3
