"""Every set of images with boxes by its name."""

import os
from pathlib import Path

from ofar_tf.data.detection.coco import coco_folder
from ofar_tf.data.detection.dataset import DetectionDataset
from ofar_tf.data.detection.scenes import fashion_mnist_scenes

_FOLDERS = {"coco_folder": coco_folder}


def load_detection_dataset(
    name: str, *, data_dir: str | os.PathLike[str] | None = None, download: bool = False, split_seed: int = 0
) -> DetectionDataset:
    """Opens a set of images with boxes.

    Args:
        name: `fashion_mnist_scenes` (made from images inside the package) or `coco_folder` (images and COCO's JSON
            in `data_dir`).
        data_dir: The folder. The bundled set ignores it.
        download: Whether a missing set of tensorflow-datasets may be downloaded.
        split_seed: For folders without splits: what decides which images are `train` and which `validation`.

    Returns:
        The data set.

    Raises:
        FileNotFoundError: The data is not there; the message says where it was searched.
        ValueError: There is no such set, or its annotations make no sense.
    """
    if name == "fashion_mnist_scenes":
        return fashion_mnist_scenes()
    if name in _FOLDERS:
        if data_dir is None:
            raise ValueError(f"Expected the folder with the images. Received: dataset={name!r} with data_dir=None.")
        return _FOLDERS[name](Path(data_dir).expanduser(), split_seed=split_seed)
    known = ", ".join(["fashion_mnist_scenes", *_FOLDERS])
    raise ValueError(f"Expected a data set with boxes ({known}). Received: dataset={name!r}.")
