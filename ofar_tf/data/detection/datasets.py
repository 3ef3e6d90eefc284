"""Every set of images with boxes by its name."""

import os

from ofar_tf.data.detection.coco import coco_folder
from ofar_tf.data.detection.dataset import DetectionDataset
from ofar_tf.data.detection.folder_kinds import CLASSES, named_where_another
from ofar_tf.data.detection.scenes import fashion_mnist_scenes
from ofar_tf.data.detection.tfds_boxes import tfds_boxes
from ofar_tf.data.detection.voc import voc_folder
from ofar_tf.data.detection.yolo import yolo_folder
from ofar_tf.files.given_path import given_path

_FOLDERS = {"coco_folder": coco_folder, "voc_folder": voc_folder, "yolo_folder": yolo_folder}
_BUNDLED = "fashion_mnist_scenes"
SETS_WITH_BOXES = (_BUNDLED, *_FOLDERS)
"""The sets with boxes that tensorflow-datasets does not know."""
_SETS_WITHOUT_BOXES = ("fashion_mnist_mini", CLASSES)


def load_detection_dataset(
    name: str, *, data_dir: str | os.PathLike[str] | None = None, download: bool = False, split_seed: int = 0
) -> DetectionDataset:
    """Opens a set of images with boxes.

    Args:
        name: `fashion_mnist_scenes` (made of images inside the package); `coco_folder`, `voc_folder` or `yolo_folder`
            (images in `data_dir` with annotations in COCO's JSON, Pascal VOC's XML or YOLO's text files); or any set of
            tensorflow-datasets that has boxes, for instance `coco/2017`.
        data_dir: The folder, or the directory where tensorflow-datasets keeps its sets (None for its own default). The
            bundled set ignores it.
        download: Whether a missing set of tensorflow-datasets may be downloaded.
        split_seed: For folders without splits: what decides which images are `train` and which `validation`.

    Returns:
        The data set.

    Raises:
        FileNotFoundError: The data is not there; the message says where it was searched.
        ValueError: There is no such set, or its annotations make no sense.
    """
    if name == _BUNDLED:
        return fashion_mnist_scenes()
    if name in _FOLDERS:
        if data_dir is None:
            raise ValueError(f"Expected the folder with the images. Received: dataset={name!r} with data_dir=None.")
        with named_where_another(data_dir, taken_for=name):
            return _FOLDERS[name](given_path(data_dir), split_seed=split_seed)
    if name in _SETS_WITHOUT_BOXES:
        with named_where_another(data_dir, taken_for=name):
            known = ", ".join(SETS_WITH_BOXES)
            raise ValueError(
                f"Expected --dataset with boxes ({known}, coco/2017, ...) for --task=detection. "
                f"Received: dataset={name!r}."
            )
    if data_dir is not None:
        data_dir = os.path.expanduser(data_dir)  # noqa: PTH111, a Path would break gs://bucket.
    return tfds_boxes(name, data_dir=data_dir, download=download)
