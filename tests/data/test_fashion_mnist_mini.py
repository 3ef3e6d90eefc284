from pathlib import Path

import numpy as np
import pytest

import ofar_tf.data
from ofar_tf.data import load_dataset
from ofar_tf.data.make_fashion_mnist_mini import make_fashion_mnist_mini

FOLDER = Path(ofar_tf.data.__file__).parent
FILE = FOLDER / "fashion_mnist_mini.npz"
ORIGINALS = [
    Path("/usr/share/datasets/fashion-mnist"),  # Where Debian's package dataset-fashion-mnist puts them.
    Path("/tmp/w/deb/x/usr/share/datasets/fashion-mnist"),
]


def test_the_file_is_small_enough_for_a_wheel():
    assert FILE.stat().st_size <= 3_000_000


def test_the_licence_of_the_original_is_kept():
    licence = (FOLDER / "fashion_mnist_mini.LICENSE").read_text(encoding="utf-8")
    assert "MIT License" in licence
    assert "2017 Zalando SE" in licence


@pytest.mark.parametrize(("split", "per_class"), [("train", 500), ("test", 100)])
def test_every_class_has_as_many_images(split, per_class):
    with np.load(FILE) as arrays:
        assert arrays[f"{split}_images"].shape == (10 * per_class, 28, 28)
        assert arrays[f"{split}_images"].dtype == np.uint8
        np.testing.assert_array_equal(np.bincount(arrays[f"{split}_labels"]), [per_class] * 10)
    assert load_dataset("fashion_mnist_mini").num_examples(split) == 10 * per_class


@pytest.mark.parametrize("split", ["train", "test"])
def test_no_image_is_there_twice_and_none_is_empty(split):
    with np.load(FILE) as arrays:
        images = arrays[f"{split}_images"].reshape(-1, 784)
    assert len(np.unique(images, axis=0)) == len(images)
    assert images.max(axis=1).min() > 0


def test_the_classes_are_mixed_from_the_start():
    with np.load(FILE) as arrays:
        assert len(set(arrays["train_labels"][:100])) == 10


def test_the_images_come_as_rgb_with_equal_channels_in_the_order_of_the_file():
    examples = list(load_dataset("fashion_mnist_mini").examples("test[:3]").as_numpy_iterator())
    with np.load(FILE) as arrays:
        for (image, label), original, original_label in zip(
            examples, arrays["test_images"], arrays["test_labels"], strict=False
        ):
            assert (image.dtype, label.dtype) == (np.uint8, np.int64)
            np.testing.assert_array_equal(image, np.stack([original] * 3, axis=-1))
            assert label == original_label
    assert len(examples) == 3


def test_the_script_makes_the_file_again_byte_for_byte():
    directory = next((path for path in ORIGINALS if path.is_dir()), None)
    if directory is None:
        pytest.skip("the original IDX files are not here")
    assert make_fashion_mnist_mini(directory) == FILE.read_bytes()


def test_missing_originals_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train-labels-idx1-ubyte.gz"):
        make_fashion_mnist_mini(tmp_path)
