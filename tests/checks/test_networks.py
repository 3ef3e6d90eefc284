import logging

import keras
import numpy as np
import pytest

from ofar_tf.checks.networks import keras_run


def test_many_networks_are_run_without_a_warning_that_one_is_traced_too_often(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("tensorflow")
    logger.addHandler(caplog.handler)
    image = keras.Input((2, 2, 3))
    images = np.arange(24).reshape(2, 2, 2, 3)
    for factor in range(1, 8):
        run = keras_run(keras.Model(image, keras.layers.Rescaling(factor)(image)))
        np.testing.assert_allclose(run(images), factor * images)
    logger.removeHandler(caplog.handler)
    assert "retracing" not in caplog.text
