from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf


@pytest.fixture
def frozen(trainer_builder, mask_drawer, pool_maker):
    def build(**arguments):
        model = trainer_builder(**arguments)
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9))
        model.freeze(pool_maker(model, mask_drawer(model)))
        return model

    return build


def weights_after(model, batch, *, steps):
    step = tf.function(model.train_step, autograph=False)
    for _ in range(steps):
        step((tf.constant(batch[0]), tf.constant(batch[1])))
    return model.supernet.get_weights()


def calls_in(definition):
    """Counts the calls of each function, in a graph and in the functions of its library."""
    bodies = [definition.node, *(function.node_def for function in definition.library.function)]
    nodes = [node for body in bodies for node in body]
    return Counter(
        node.attr["f"].func.name for node in nodes if node.op in ("PartitionedCall", "StatefulPartitionedCall")
    )


def test_networks_that_run_at_the_same_time_learn_what_they_learn_one_by_one(frozen, batch):
    one_by_one = weights_after(frozen(seed=5, networks_at_once=1), batch, steps=3)
    for at_once in (2, 4, None):
        together = weights_after(frozen(seed=5, networks_at_once=at_once), batch, steps=3)
        for expected, actual in zip(one_by_one, together, strict=True):
            np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(
    ("networks", "assistants", "places"),
    [("sandwich", "middle", [1, 1, 1, 1, 1]), ("all", "middle", [1, 1, 1, 1, 1]), ("sandwich", "all", [1, 1, 1, 1, 2])],
)
def test_a_step_holds_each_structure_once_and_the_largest_twice_only_if_it_may_be_an_assistant(
    frozen, batch, networks, assistants, places
):
    settings = {"networks_per_step": networks, "assistants": assistants}
    model = frozen(pruning_rates=[0.0, 0.2, 0.3, 0.4, 0.5], **settings)
    step = tf.function(model.train_step, autograph=False)
    traced = step.get_concrete_function((tf.constant(batch[0]), tf.constant(batch[1])))
    assert sorted(calls_in(traced.graph.as_graph_def()).values()) == places
