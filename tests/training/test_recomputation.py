import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.pruning.fused_batch_norm import FusedBatchNormalization
from ofar_tf.text.size import Size
from ofar_tf.training import network_functions
from ofar_tf.training.network_states import fused_norms, states_of
from ofar_tf.training.recomputation import holding, recomputing, segments_of
from ofar_tf.training.step_spec import StepSpec

layers = keras.layers


def residual_network():
    """Two blocks with a shortcut and dropout, and one layer that is called twice."""
    image = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 255)(image)
    shared = layers.Conv2D(6, 3, padding="same", activation="relu", name="shared")
    x = layers.Conv2D(6, 3, padding="same", use_bias=False)(x)
    for _ in range(2):
        y = layers.ReLU()(FusedBatchNormalization()(layers.Conv2D(6, 3, padding="same")(x)))
        x = layers.ReLU()(layers.Add()([x, layers.Dropout(0.5)(y)]))
    x = layers.SpatialDropout2D(0.3)(shared(layers.Activation("tanh")(shared(x))))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    return keras.Model(image, layers.Dense(3)(x))


@pytest.fixture(scope="module")
def network():
    """As it trains: with fused BatchNorm that reports nothing."""
    network = residual_network()
    for norm in fused_norms(network):
        norm.reports_statistics = False
    return network


def gradients_of(network, forward):
    trained = [tf.constant(np.asarray(each)) for each in network.trainable_variables]

    @tf.function(autograph=False)
    def gradients(noise, images):
        states = states_of(network, network.weights, narrow=lambda _, values: values, seed=3, noise=noise)
        with tf.GradientTape() as tape:
            tape.watch(trained)
            loss = tf.reduce_sum(forward(trained, states, images) ** 2)
        return loss, tape.gradient(loss, trained)

    return gradients.get_concrete_function(tf.constant(7), tf.constant(IMAGES))


IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 16, 16, 3)).astype(np.float32)
SIZE = Size(16, 16)


@pytest.fixture(scope="module")
def traced(network):
    """Loss and gradients as functions of noise and images, of a network that holds everything and one that does not."""
    ways = {"holding": holding(network), "recomputing": recomputing(network, size=SIZE)}
    return {name: gradients_of(network, forward) for name, forward in ways.items()}


def test_gradients_are_those_of_the_network_that_holds_everything(network, traced):
    before = [np.array(each) for each in network.weights]
    losses = []
    for noise in (7, 8):
        wanted, found = (each(tf.constant(noise), tf.constant(IMAGES)) for each in traced.values())
        for one, other in zip(tf.nest.flatten(wanted), tf.nest.flatten(found), strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5 * float(tf.reduce_max(tf.abs(one))))
        losses.append(float(wanted[0]))
    # Dropout makes a difference, so the second time it drew what it had drawn the first time.
    assert losses[0] != losses[1]
    for old, weight in zip(before, network.weights, strict=True):
        np.testing.assert_array_equal(old, weight)


def held_by(function):
    """Counts the numbers that the way to the loss makes, and the way back to the gradients reads."""
    graph, (loss, *gradients) = function.graph, function.graph.outputs
    forward, backward = ancestors([loss.op]), ancestors([each.op for each in gradients])
    read = {id(tensor): tensor for name in backward - forward for tensor in graph.get_operation_by_name(name).inputs}
    held = [each for each in read.values() if each.op.name in forward and each.shape.rank == 4]
    return sum(each.shape.num_elements() for each in held if each.shape[0] == len(IMAGES))


def ancestors(operations):
    found = {each.name for each in operations}
    waiting = list(operations)
    while waiting:
        operation = waiting.pop()
        for source in [tensor.op for tensor in operation.inputs] + list(operation.control_inputs):
            if source.name not in found:
                found.add(source.name)
                waiting.append(source)
    return found


def test_fewer_activations_are_held_for_the_way_back(traced):
    assert 0 < held_by(traced["recomputing"]) < 0.6 * held_by(traced["holding"])


def test_segments_pass_one_tensor_each_and_share_no_layer():
    network = residual_network()
    segments = segments_of(network, size=SIZE)
    assert len(segments) >= 2
    x = IMAGES
    for segment in segments:
        x = segment(x)
    np.testing.assert_allclose(x, network(IMAGES), rtol=1e-5)
    names = [layer.name for segment in segments for layer in segment.layers if layer.weights]
    assert len(names) == len(set(names))


def test_a_network_without_a_place_to_cut_is_refused():
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same")(image)
    model = keras.Model(image, layers.Concatenate()([image, layers.ReLU()(x)]), name="two_ways")
    with pytest.raises(ValueError, match=r"^Expected a network in a row .*\. Received: two_ways, which has none\.$"):
        segments_of(model, size=Size(8, 8))


def test_a_family_trains_to_the_same_weights(trainer_builder, mask_drawer, pool_maker, supernet_builder, batch):
    def trained(**arguments):
        model = trainer_builder(supernet_builder(dropout=0.5), **arguments)
        model.compile(keras.optimizers.SGD(0.1))
        model.train_on_batch(*batch)  # With masks, then sliced.
        model.freeze(pool_maker(model, mask_drawer(model)))
        model.train_on_batch(*batch)
        return model.supernet.get_weights()

    for one, other in zip(trained(), trained(gradient_checkpointing="all"), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("whose", "expected"), [("none", 0), ("largest", 1), ("all", 4)])
def test_the_setting_says_which_networks_run_twice(
    whose, expected, trainer_builder, mask_drawer, supernet_builder, monkeypatch
):
    model = trainer_builder(supernet_builder())
    made = []
    monkeypatch.setattr(network_functions, "recomputing", lambda network, *, size: made.append(size))
    functions = network_functions.NetworkFunctions(
        model.supernet,
        model.groups,
        task=model.task,
        spec=StepSpec(gradient_checkpointing=whose),
        sizes=[Size(8, 8), Size(12, 12)],
    )
    functions.use_slices(mask_drawer(model))
    assert made == [Size(12, 12)] * expected
