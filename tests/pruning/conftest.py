"""Fixtures of the pruning tests: random weights and masks, the masked = sliced check, and a counter of its own kind."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.utils.naming import reset_uids

from ofar_tf.models.functional_graph import flat_layers
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.slicing import Slices, gates_of, mask_tensor
from ofar_tf.pruning.subnet import build_subnet, copy_weights


@pytest.fixture(autouse=True)
def fresh_layer_names() -> None:
    # `keras.backend.clear_session` would also throw away the kernels that TensorFlow has made for each operation: to
    # make them again takes longer than most of these tests.
    reset_uids()


@pytest.fixture
def double_precision() -> Iterator[None]:
    """Rounding cannot hide a wrong channel behind a tolerance, nor batch statistics of few values blow it up."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])


def _randomize(model: keras.Model, images: Any, seed: int = 0) -> keras.Model:
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if "int" in weight.dtype:
            continue
        if weight.name in ("gamma", "moving_variance", "variance"):
            value = random.uniform(0.5, 1.5, weight.shape)
        elif weight.name in ("beta", "bias", "moving_mean", "mean", "alpha"):
            value = random.normal(0.0, 0.5, weight.shape)
        else:
            depthwise = (len(weight.shape) == 4 and weight.shape[-1] <= 2) or "depthwise" in weight.path
            fan_in = math.prod(weight.shape[:2] if depthwise else weight.shape[:-1])
            value = random.normal(0.0, 1.5 / math.sqrt(fan_in), weight.shape)
        weight.assign(value)
    for layer in flat_layers(model):
        if hasattr(layer, "rate"):  # Noise of different shapes cannot be compared.
            layer.rate = 0.0
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.finalize_state()
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.5
    model(images, training=True)  # Moving statistics that fit keep the signal alive in deep networks.
    return model


@pytest.fixture
def randomize() -> Callable[..., keras.Model]:
    """Draws all weights of a model, betas that are not zero included, and silences random layers."""
    return _randomize


def _random_mask(groups: ChannelGroups, rate: float, seed: int = 0) -> ChannelMask:
    random = np.random.default_rng(seed)
    keep = random.random(groups.size) >= rate
    for group in groups.groups:
        keep[group.start + random.integers(group.size)] = True
    return ChannelMask(groups.groups, keep)


@pytest.fixture
def random_mask() -> Callable[..., ChannelMask]:
    """Drops each channel with a probability, but never all of a group."""
    return _random_mask


def _outputs_and_gradients(
    network: keras.Model,
    supernet: keras.Model,
    narrow: Callable[..., Any],
    images: Any,
    *,
    widen: Callable[..., Any] | None = None,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Those of training. Without `widen` TensorFlow differentiates `narrow` as well."""
    positions = {id(variable): index for index, variable in enumerate(supernet.weights)}
    weights = [positions[id(variable)] for variable in supernet.trainable_variables]
    variables = [variable.value for variable in supernet.trainable_variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        values = narrow(weights, variables)
        if widen is not None:
            tape.watch(values)
        outputs = _run(network, values, images, training=True)
        random = np.random.default_rng(7)
        loss = tf.add_n([tf.reduce_sum(output * random.normal(size=output.shape)) for output in outputs])
    sources = variables if widen is None else values
    gradients = tape.gradient(loss, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    if widen is not None:
        gradients = widen(weights, gradients)
    return [np.asarray(output) for output in outputs], [np.asarray(gradient) for gradient in gradients]


def _run(network: keras.Model, values: Sequence[Any], images: Any, *, training: bool) -> list[Any]:
    states = [variable.value for variable in network.non_trainable_variables]
    return keras.tree.flatten(network.stateless_call(values, states, images, training=training)[0])


def _check_masked_is_sliced(
    supernet: keras.Model,
    groups: ChannelGroups,
    mask: ChannelMask,
    *,
    images: Any,
    tolerance: float = 1e-8,
    trainable_copy: bool = False,
) -> keras.Model:
    subnet = build_subnet(supernet, groups, mask, trainable_copy=trainable_copy)
    copy_weights(supernet, subnet, groups, mask)
    gates, slices = tf.constant(gates_of([mask])[0]), Slices(groups, mask)

    def gate(weights: Sequence[int], values: Sequence[Any]) -> list[Any]:
        return [mask_tensor(value, groups.weights[each], gates) for each, value in zip(weights, values, strict=True)]

    positions = {id(variable): index for index, variable in enumerate(supernet.weights)}
    trained = supernet.trainable_variables
    gated = gate([positions[id(variable)] for variable in trained], [variable.value for variable in trained])
    _assert_same_outputs(
        keras.tree.flatten(subnet(images, training=False)), _run(supernet, gated, images, training=False), tolerance
    )
    masked, masked_gradients = _outputs_and_gradients(supernet, supernet, gate, images)
    sliced, sliced_gradients = _outputs_and_gradients(subnet, supernet, slices.narrow, images, widen=slices.widen)
    _assert_same_outputs(sliced, masked, tolerance)
    _assert_close(sliced_gradients, masked_gradients, tolerance)
    _assert_dropped_gradients_vanish(supernet, groups, mask, sliced_gradients)
    return subnet


def _assert_same_outputs(actual: Sequence[Any], expected: Sequence[Any], tolerance: float) -> None:
    actual, expected = ([np.asarray(output) for output in outputs] for outputs in (actual, expected))
    _assert_close(actual, expected, tolerance)
    spread = min(np.ptp(output, axis=0).max() / np.abs(output).max() for output in expected)
    assert spread > 10 * tolerance, "different images must give different outputs, or nothing is tested"


def _assert_close(actual: Sequence[np.ndarray], expected: Sequence[np.ndarray], tolerance: float) -> None:
    scale = max(float(np.abs(array).max()) for array in expected)
    assert np.isfinite(scale)
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * scale)


def _assert_dropped_gradients_vanish(
    supernet: keras.Model, groups: ChannelGroups, mask: ChannelMask, gradients: Sequence[np.ndarray]
) -> None:
    keep = np.append(mask.keep, True)
    entries = {id(weight): entry for weight, entry in zip(supernet.weights, groups.weights, strict=True)}
    for variable, gradient in zip(supernet.trainable_variables, gradients, strict=True):
        for axis, channels in entries[id(variable)].axes.items():
            assert not np.compress(~keep[channels], gradient, axis=axis).any()


@pytest.fixture
def check_masked_is_sliced() -> Callable[..., keras.Model]:
    """Fails unless a mask's masked and sliced networks give the same outputs and gradients; returns the sliced one.

    Outputs in inference, where the sliced network runs on weights of its own, and in training (batch statistics), where
    it runs on the supernet's gathered weights; gradients of training, of which those of all dropped entries are zero.
    """
    return _check_masked_is_sliced


def _graph_macs(network: keras.Model, resolution: int) -> int:
    specs = [
        tf.TensorSpec([1, *[resolution if size is None else size for size in tensor.shape[1:]]], tensor.dtype)
        for tensor in network.inputs
    ]
    inputs = keras.tree.pack_sequence_as(network.input, specs)
    graph = tf.function(lambda x: network(x, training=False), autograph=False).get_concrete_function(inputs).graph
    return sum(_operation_macs(operation) for operation in graph.get_operations())


def _operation_macs(operation: Any) -> int:
    if operation.type in ("Conv2D", "DepthwiseConv2dNative"):
        return math.prod(operation.outputs[0].shape[:3]) * math.prod(operation.inputs[1].shape)
    if operation.type == "Conv2DBackpropInput":
        return math.prod(operation.inputs[2].shape[:3]) * math.prod(operation.inputs[1].shape)
    if operation.type in ("MatMul", "BatchMatMulV2"):
        return math.prod(operation.inputs[0].shape) * operation.inputs[1].shape[-1]
    return 0


@pytest.fixture
def graph_macs() -> Callable[[keras.Model, int], int]:
    """Counts multiply-adds by walking the operations of the TensorFlow graph that a network becomes."""
    return _graph_macs
