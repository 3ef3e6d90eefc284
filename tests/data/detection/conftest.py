"""Small folders of images with annotations."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

CATEGORIES = [{"id": 7, "name": "bee"}, {"id": 3, "name": "ant"}]


def write_png(path: Path, *, height: int = 20, width: int = 40) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(tf.io.encode_png(np.full((height, width, 3), 100, np.uint8)).numpy()))


def coco(images: int = 2, annotations: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Images of 40x20 pixels, 0.png and so on, numbered from 10; by default an ant at (4, 5), 8 wide and 10 high."""
    one = [{"id": 1, "image_id": 10, "category_id": 3, "bbox": [4, 5, 8, 10], "area": 60.0, "iscrowd": 0}]
    return {
        "images": [{"id": 10 + i, "file_name": f"{i}.png", "height": 20, "width": 40} for i in range(images)],
        "annotations": one if annotations is None else annotations,
        "categories": CATEGORIES,
    }


@pytest.fixture
def coco_dir(tmp_path: Path) -> Callable[..., Path]:
    """Writes a folder of two images and their `instances_train.json`, changed by what it is given."""

    def write(**changes: Any) -> Path:
        for index in range(2):
            write_png(tmp_path / "train" / f"{index}.png")
        (tmp_path / "instances_train.json").write_text(json.dumps({**coco(), **changes}))
        return tmp_path

    return write
