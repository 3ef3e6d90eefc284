import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.run.given_images import GivenImages

BATCHES = tf.data.Dataset.from_tensors((np.zeros((2, 4, 4, 3), np.float32), np.array([0, 1])))


@pytest.mark.parametrize("name", ["validation", "selection"])
def test_images_to_measure_on_must_come_to_an_end(name):
    given = {"validation": BATCHES, "calibration": BATCHES.repeat(), name: BATCHES.repeat()}
    with pytest.raises(ValueError, match=rf"^Expected {name} to end, .* Received: one without end\.$"):
        GivenImages(**given)


@pytest.mark.parametrize("images", [0, -1])
def test_at_least_one_image_calibrates(images):
    with pytest.raises(ValueError, match=rf"Expected an image .* Received: calibration_images={images}\.$"):
        GivenImages(BATCHES, BATCHES, calibration_images=images)
