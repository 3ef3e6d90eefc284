"""Einsums become products and sums that TFLite has, whose channels are followed like all others."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from ofar_tf.models.einsum import as_products
from ofar_tf.models.user_model import as_supernet
from ofar_tf.pruning.channel_groups import find_channel_groups

# Subscripts -> the shapes of the tensors, but for the images.
PRODUCTS = {
    "bhwc,bc->bhwc": ((4, 5, 6), (6,)),
    "bc,bhwc->bhwc": ((6,), (4, 5, 6)),
    "bchw,bc->bchw": ((6, 4, 5), (6,)),
    "...c,...c->...c": ((4, 5, 6), (4, 5, 6)),
    "b...c,bc->b...c": ((4, 5, 6), (6,)),
    "bnc,bno->bc": ((5, 6), (5, 1)),
    "bnc,bne->bc": ((5, 6), (5, 2)),
    "bij,bij->b": ((3, 4), (3, 4)),
    "bhid,bhjd->bhij": ((2, 5, 6), (2, 7, 6)),
    "bhij,bhjd->bihd": ((2, 5, 7), (2, 7, 6)),
    "bhwc,bcd->bhwd": ((4, 5, 6), (6, 3)),
    "bnc,bnd->bcd": ((4, 6), (4, 3)),
    "...ij,...jk": ((4, 5), (5, 3)),
    "...nd, ...kd->...nd": ((4, 5, 6), (4, 3, 6)),
    "bhwc->bc": ((4, 5, 6),),
    "bhwc->bchw": ((4, 5, 6),),
}


def _operation(subscripts: str, tensors: Any) -> Any:
    return keras.Model(tensors, ops.einsum(subscripts, *tensors)).operations[-1]


@pytest.mark.parametrize("subscripts", PRODUCTS)
def test_an_einsum_is_what_numpy_gives_for_it(subscripts: str) -> None:
    random = np.random.default_rng(0)
    tensors = [keras.Input(shape) for shape in PRODUCTS[subscripts]]
    values = [random.normal(size=(2, *shape)) for shape in PRODUCTS[subscripts]]
    graph = as_products(_operation(subscripts, tensors), tensors)
    assert graph is not None and "Einsum" not in {type(each).__name__ for each in graph.operations}
    np.testing.assert_allclose(graph(values), np.einsum(subscripts, *values), rtol=1e-5, atol=1e-5)


def test_a_tensor_by_itself_is_taken_once() -> None:
    image = keras.Input((4, 6))
    graph = as_products(_operation("bnc,bmc->bnm", [image, image]), [image, image])
    values = np.random.default_rng(0).normal(size=(2, 4, 6))
    np.testing.assert_allclose(graph([values]), values @ values.transpose(0, 2, 1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("subscripts", "shapes"), [("bnn->bn", ((4, 4),)), ("bhwc,bhwd->bcd", ((2, 3, 4), (2, 3, 5))), ("a,b,c", ((),) * 3)]
)
def test_an_einsum_that_is_no_such_product_stays_as_it_is(subscripts: str, shapes: Any) -> None:
    tensors = [keras.Input(shape) for shape in shapes]
    assert as_products(_operation(subscripts, tensors), tensors) is None


class Gate(layers.Layer):
    def __init__(self, channels: int, einsum: Any):
        super().__init__()
        self.dense, self.einsum = layers.Dense(channels, activation="sigmoid"), einsum

    def call(self, x: Any) -> Any:
        return self.einsum("bhwc,bc->bhwc", x, self.dense(tf.reduce_mean(x, axis=[1, 2])))


@pytest.mark.parametrize("einsum", [ops.einsum, tf.einsum])
def test_what_a_gate_by_einsum_scales_can_be_pruned_and_no_name_is_taken_twice(einsum: Any) -> None:
    image = keras.Input((8, 8, 3))
    x = layers.ReLU(name="multiply")(layers.BatchNormalization(name="expand_dims")(layers.Conv2D(6, 3)(image)))
    x = layers.Conv2D(4, 3)(Gate(6, einsum)(x))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.BatchNormalization()(x)))
    model = keras.Model(image, layers.Dense(2)(x))
    supernet = as_supernet(model, reference="it")
    assert "Einsum" not in {type(each).__name__ for each in supernet.operations}
    assert [group.size for group in find_channel_groups(supernet).groups] == [6, 4]
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
    np.testing.assert_allclose(supernet(images), model(images), rtol=1e-5, atol=1e-5)
