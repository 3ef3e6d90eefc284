from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.pruning.kept_average import KeptAveragePooling2D


def _with_gradient(layer: Any, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    with tf.GradientTape() as tape:
        tape.watch(images)
        averages = layer(images)
        loss = tf.reduce_sum(averages**2)
    return averages, tape.gradient(loss, images)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_averages_and_gradients_are_those_of_keras(keepdims: bool, data_format: str) -> None:
    told = {"keepdims": keepdims, "data_format": data_format}
    images = tf.constant(np.random.default_rng(0).normal(size=(2, 5, 4, 3)), tf.float32)
    expected, actual = (
        _with_gradient(kind(**told), images) for kind in (keras.layers.GlobalAveragePooling2D, KeptAveragePooling2D)
    )
    assert actual[0].shape == expected[0].shape
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("kind", "stitched"), [(keras.layers.GlobalAveragePooling2D, 1), (KeptAveragePooling2D, 0)])
def test_its_gradient_stitches_no_shape_together_on_the_accelerator(kind: Any, stitched: int) -> None:
    # A GPU's DynamicStitch computes the shape of a map that the host must know to go on.
    run = tf.function(lambda images: _with_gradient(kind(), images)[1])
    graph = run.get_concrete_function(tf.TensorSpec([8, None, None, 3])).graph
    assert sum(each.type == "DynamicStitch" for each in graph.get_operations()) == stitched
