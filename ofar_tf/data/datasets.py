"""Every data set by its name."""

import os

from ofar_tf.data.bundled import fashion_mnist_mini
from ofar_tf.data.detection.datasets import SETS_WITH_BOXES
from ofar_tf.data.detection.folder_kinds import named_where_another
from ofar_tf.data.image_dataset import ImageDataset
from ofar_tf.data.image_folder import image_folder
from ofar_tf.data.tfds_sets import tfds_set
from ofar_tf.files.given_path import given_path

__all__ = ["ImageDataset", "load_dataset"]


def load_dataset(
    name: str, *, data_dir: str | os.PathLike[str] | None = None, download: bool = False, split_seed: int = 0
) -> ImageDataset:
    """Opens a data set; nothing but its description is read, and the network is left alone unless asked.

    Args:
        name: `fashion_mnist_mini` (inside the package), `image_folder` (class sub-folders of `data_dir`) or any image
            classification set of tensorflow-datasets, for instance `cifar10` or `imagenette/160px-v2`.
        data_dir: The folder of images, or the directory where tensorflow-datasets keeps its sets (None for its own
            default). The bundled set ignores it.
        download: Whether a missing set of tensorflow-datasets may be downloaded.
        split_seed: For an `image_folder` without folders of splits: what decides which images are `train` and which
            `validation`.

    Returns:
        The data set.

    Raises:
        FileNotFoundError: The data is not there; the message says where it was searched and how to prepare it.
        ValueError: There is no such set, or it cannot be used for image classification.
    """
    if name == "fashion_mnist_mini":
        return fashion_mnist_mini()
    if name == "image_folder":
        if not data_dir:
            raise ValueError(
                f"Expected the folder with the images. Received: dataset='image_folder' with data_dir={data_dir!r}."
            )
        with named_where_another(data_dir, taken_for=name):
            return image_folder(given_path(data_dir), split_seed=split_seed)
    if name in SETS_WITH_BOXES:
        with named_where_another(data_dir, taken_for=name):
            raise ValueError(f"Expected --task=detection for images with boxes. Received: dataset={name!r} without it.")
    if data_dir is not None:
        data_dir = os.path.expanduser(data_dir)  # noqa: PTH111, a Path would break gs://bucket.
    return tfds_set(name, data_dir=data_dir, download=download)
