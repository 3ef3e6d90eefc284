"""Small images, and folders of them."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf


def grey_png(value: int) -> bytes:
    return bytes(tf.io.encode_png(np.full((6, 8, 3), value, np.uint8)).numpy())


@pytest.fixture(scope="session")
def one_png() -> bytes:
    """A grey PNG file of 8x6 pixels."""
    return grey_png(90)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Three classes of 40, 20 and 10 images; the images of class k have the grey value 100 k."""
    for label, (name, count) in enumerate([("ant", 40), ("bee", 20), ("cat", 10)]):
        (tmp_path / name).mkdir()
        for index in range(count):
            (tmp_path / name / f"{index:03}.png").write_bytes(grey_png(100 * label))
    return tmp_path
