import keras
import numpy as np
import pytest

from ofar_tf.conversion.network_parts import split


@pytest.fixture
def network():
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="stem")(image)
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    scores = keras.layers.Dense(2, name="scores_last")(pooled)
    return keras.Model(image, {"scores": keras.layers.Softmax()(scores), "embedding": pooled})


def test_both_parts_one_after_the_other_are_the_network(network):
    first, last = split(network, ["scores_*"])
    assert [layer.name for layer in last.layers if layer.weights] == ["scores_last"]
    images = np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 3)).astype(np.float32)
    expected, found = network(images), last(first(images))
    assert set(found) == {"scores", "embedding"}
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-6)
