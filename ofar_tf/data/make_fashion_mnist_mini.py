"""Makes `fashion_mnist_mini.npz`, the data set inside the package, from the four original files of Fashion-MNIST.

Usage:
    python -m ofar_tf.data.make_fashion_mnist_mini /usr/share/datasets/fashion-mnist

The directory holds the IDX files as Zalando published them; Debian's package `dataset-fashion-mnist` puts them there.
The subset is the first 500 training and the first 100 test images of each class, in the original order. The same bytes
come out on every run and machine: no time stamps, and bzip2, whose output is settled (zlib has many implementations).
"""

import argparse
import gzip
import io
import zipfile
from pathlib import Path

import numpy as np

TRAIN_IMAGES_PER_CLASS = 500
TEST_IMAGES_PER_CLASS = 100
OUTPUT = Path(__file__).with_name("fashion_mnist_mini.npz")


def make_fashion_mnist_mini(directory: Path) -> bytes:
    """Returns the content of the `.npz` file.

    Args:
        directory: Where the four `*-ubyte.gz` files are.

    Returns:
        A zip archive with `train_images` uint8 [5000, 28, 28], `train_labels` uint8 [5000], `test_images` uint8
        [1000, 28, 28] and `test_labels` uint8 [1000], for `numpy.load`.

    Raises:
        FileNotFoundError: One of the files is missing.
    """
    arrays = {}
    for split, prefix, per_class in (
        ("train", "train", TRAIN_IMAGES_PER_CLASS),
        ("test", "t10k", TEST_IMAGES_PER_CLASS),
    ):
        labels = _read_idx(directory / f"{prefix}-labels-idx1-ubyte.gz")
        chosen = _first_of_each_class(labels, per_class)
        arrays[f"{split}_images"] = _read_idx(directory / f"{prefix}-images-idx3-ubyte.gz")[chosen]
        arrays[f"{split}_labels"] = labels[chosen]
    return _compressed(arrays)


def _read_idx(path: Path) -> np.ndarray:
    content = gzip.decompress(path.read_bytes())
    # The header: two zero bytes, 8 for unsigned bytes, the number of axes, then the axes as big-endian 32-bit integers.
    axes = content[3]
    shape = np.frombuffer(content, dtype=">u4", count=axes, offset=4)
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape)


def _first_of_each_class(labels: np.ndarray, count: int) -> np.ndarray:
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:count] for label in np.unique(labels)]))


def _compressed(arrays: dict[str, np.ndarray]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.save(member, array)
            # A ZipInfo made by hand carries the year 1980 instead of the time of the run.
            information = zipfile.ZipInfo(f"{name}.npy")
            information.create_system = 3
            members.writestr(information, member.getvalue(), compress_type=zipfile.ZIP_BZIP2, compresslevel=9)
    return archive.getvalue()


def main() -> None:
    """Writes the file next to this script."""
    parser = argparse.ArgumentParser(description="Makes ofar_tf/data/fashion_mnist_mini.npz.")
    parser.add_argument("directory", type=Path, help="where the four original IDX files (*-ubyte.gz) are")
    OUTPUT.write_bytes(make_fashion_mnist_mini(parser.parse_args().directory))
    print(f"{OUTPUT}: {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
