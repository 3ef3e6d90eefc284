"""Fixtures of the model tests: a counter of multiply-adds that knows nothing of the package."""

import math
from collections.abc import Callable

import keras
import pytest


def _count(model: keras.Model, height: int, width: int) -> dict[str, int]:
    layers = [
        layer for layer in model.layers if layer.weights and not isinstance(layer, keras.layers.BatchNormalization)
    ]
    outputs = keras.Model(model.input, [layer.output for layer in layers])
    shapes = outputs.compute_output_shape((1, height, width, 3))
    macs = {}
    for layer, shape in zip(layers, shapes, strict=True):
        kernel = layer.kernel.shape
        positions = math.prod(shape[1:3]) if len(shape) == 4 else 1
        # Each position uses each number of the kernel once: [3, 3, in, out], [3, 3, in, 1] and [in, out] alike.
        macs[layer.name] = positions * math.prod(kernel)
    return macs


@pytest.fixture
def macs_by_layer() -> Callable[[keras.Model, int, int], dict[str, int]]:
    return _count


@pytest.fixture
def count_macs() -> Callable[[keras.Model, int], int]:
    return lambda model, resolution: sum(_count(model, resolution, resolution).values())
