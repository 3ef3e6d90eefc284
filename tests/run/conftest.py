from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

TINY_NETWORKS = """
import keras
from keras import layers


def build(classes, dropout=0.0):
    image = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    for filters in (6, 8):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False, name=f"conv_{filters}")(x)
        x = layers.ReLU()(layers.BatchNormalization(name=f"norm_{filters}")(x))
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(dropout)(x) if dropout else x
    return keras.Model(image, layers.Dense(classes, name="logits")(x), name="tiny")


def build_with_dropout(classes):
    return build(classes, dropout=0.2)
"""


@pytest.fixture(scope="session")
def write_tiny_networks() -> Callable[[Path], str]:
    """Writes a user's module of two networks into a folder, and names it."""

    def write(folder: Path) -> str:
        (folder / "tiny_networks.py").write_text(TINY_NETWORKS)
        return "tiny_networks"

    return write


@pytest.fixture(scope="session")
def write_photos() -> Callable[..., Path]:
    """Writes a folder of photos, so many of each of three classes, into each split, and returns it."""

    def write(folder: Path, **counts: int) -> Path:
        for split, count in counts.items():
            for index, name in enumerate(("cat", "dog", "rabbit")):
                for number in range(count):
                    path = folder / split / name / f"{number}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    keras.utils.save_img(path, np.full((12, 12, 3), 80 * index + number, np.uint8), scale=False)
        return folder

    return write
