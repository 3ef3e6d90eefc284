import numpy as np

import ofar_tf
from benchmarks.wide_ranges import widen


def test_channels_of_other_ranges_make_no_other_network() -> None:
    network = ofar_tf.models.build("resnet8", classes=10, width_multiplier=0.5)
    images = np.random.default_rng(0).uniform(0, 255, (4, 16, 16, 3)).astype(np.float32)
    before, gammas = network.predict(images, verbose=0), network.get_layer("stage1_block1_conv1_bn").gamma.numpy()
    widen(network, factor=10.0, seed=0)
    np.testing.assert_allclose(network.predict(images, verbose=0), before, rtol=1e-4, atol=1e-4)
    factors = network.get_layer("stage1_block1_conv1_bn").gamma.numpy() / gammas
    assert 0.1 <= factors.min() < 0.5 and 2 < factors.max() <= 10
