from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.pruning.fused_batch_norm import FusedBatchNormalization

MAPS, VECTORS = (4, 5, 3, 6), (16, 6)


def _images(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).normal(1.0, 2.0, shape).astype("float32")


def _pair(shape: tuple[int, ...], **arguments: Any) -> tuple[Any, Any]:
    """A stock and a fused layer with the same random weights."""
    stock, fused = keras.layers.BatchNormalization(**arguments), FusedBatchNormalization(**arguments)
    random = np.random.default_rng(1)
    for layer in (stock, fused):
        layer.build(shape)
    for one, other in zip(stock.weights, fused.weights, strict=True):
        one.assign(random.uniform(0.5, 1.5, one.shape))
        other.assign(one)
    return stock, fused


def _run(layer: Any, images: np.ndarray, *, training: bool) -> list[np.ndarray]:
    inputs = tf.constant(images)
    weights = [variable.value for variable in layer.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=training)
        loss = tf.reduce_sum(tf.cast(outputs, tf.float32) ** 2 * np.arange(images.shape[-1], dtype="float32"))
    return [np.asarray(tf.cast(value, tf.float32)) for value in (outputs, *tape.gradient(loss, [inputs, *weights]))]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("scale", "center"), [(True, True), (False, True), (True, False)])
@pytest.mark.parametrize("shape", [MAPS, VECTORS])
def test_outputs_and_gradients_are_those_of_stock_keras(
    shape: tuple[int, ...], scale: bool, center: bool, training: bool
) -> None:
    stock, fused = _pair(shape, scale=scale, center=center, epsilon=1e-2)
    images = _images(shape)
    for expected, actual in zip(*(_run(layer, images, training=training) for layer in (stock, fused)), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("shape", [MAPS, VECTORS])
def test_training_leaves_the_mean_and_the_biased_variance_of_the_batch(shape: tuple[int, ...]) -> None:
    _, fused = _pair(shape, momentum=0.9)
    images = _images(shape)
    fused(images, training=True)
    axes = tuple(range(len(shape) - 1))
    np.testing.assert_allclose(fused.moving_mean, images.mean(axes), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(fused.moving_variance, images.var(axes), rtol=1e-5)


def test_a_frozen_layer_normalizes_by_its_moving_statistics_and_keeps_them() -> None:
    stock, fused = _pair(MAPS)
    stock.trainable = fused.trainable = False
    images = _images(MAPS)
    before = np.asarray(fused.moving_mean)
    np.testing.assert_allclose(fused(images, training=True), stock(images, training=True), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(fused.moving_mean, before)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", [MAPS, VECTORS])
def test_mixed_precision_computes_statistics_in_single_precision(shape: tuple[int, ...], training: bool) -> None:
    stock, fused = _pair(shape, dtype="mixed_bfloat16")
    images = _images(shape)
    results = [_run(layer, images, training=training) for layer in (stock, fused)]
    for expected, actual in zip(*results, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0.02, atol=0.02 * np.abs(expected).max())
    np.testing.assert_allclose(
        np.asarray(fused.moving_mean) if training else results[1][0].mean(),
        tf.cast(images, tf.bfloat16).numpy().astype("float32").mean(tuple(range(len(shape) - 1)))
        if training
        else results[0][0].mean(),
        rtol=1e-2,
        atol=1e-3,
    )


@pytest.mark.parametrize("arguments", [{"dtype": "float64"}, {"axis": 1}, {"renorm": True}])
def test_what_the_kernel_cannot_do_runs_as_in_stock_keras(arguments: dict[str, Any]) -> None:
    stock, fused = _pair(MAPS, **arguments)
    images = _images(MAPS).astype(stock.compute_dtype)
    np.testing.assert_allclose(fused(images, training=True), stock(images, training=True), rtol=1e-5, atol=1e-5)
