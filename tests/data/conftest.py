"""Small images for folders."""

import numpy as np
import pytest
import tensorflow as tf


@pytest.fixture(scope="session")
def one_png() -> bytes:
    """A grey PNG file of 8x6 pixels."""
    return bytes(tf.io.encode_png(np.full((6, 8, 3), 90, np.uint8)).numpy())
