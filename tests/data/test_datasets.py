import json
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from ofar_tf.data import ImageDataset, load_dataset

SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"


class TinySet(tfds.core.GeneratorBasedBuilder):
    """Grey PNGs of known values, to be prepared in a temporary folder and read back by name."""

    VERSION = tfds.core.Version("1.0.0")
    IMAGE = tfds.features.Image(shape=(None, None, 1))
    LABEL = tfds.features.ClassLabel(names=["dark", "light"])

    def _info(self):
        features = tfds.features.FeaturesDict({"image": self.IMAGE, "label": self.LABEL})
        return self.dataset_info_from_configs(features=features, supervised_keys=("image", "label"))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(10), "test": self._generate_examples(4)}

    def _generate_examples(self, count):
        for index in range(count):
            yield index, {"image": np.full([5, 4, 1], index, self.IMAGE.np_dtype), "label": index % 2}


class TinyFloatSet(TinySet):
    """A set whose pixels are not bytes."""

    IMAGE = tfds.features.Image(shape=(5, 4, 1), dtype=np.float32)


class TinyCompetition(TinySet):
    """A set whose test images have no labels."""

    def _split_generators(self, dl_manager):
        hidden = ((index, {**example, "label": -1}) for index, example in self._generate_examples(4))
        return {"train": self._generate_examples(10), "test": hidden}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tfds")
    for builder in (TinySet, TinyFloatSet, TinyCompetition):
        builder(data_dir=folder).download_and_prepare()
    return folder


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*arguments, **keywords):
        raise AssertionError(f"the network was touched: {arguments}")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    # Buckets are reached by TensorFlow's own C++ code, through this function.
    monkeypatch.setattr(tfds.core.utils.gcs_utils, "exists", refuse)


def test_a_prepared_set_is_read_in_a_fixed_order_as_rgb(prepared):
    dataset = load_dataset("tiny_set", data_dir=prepared)
    assert dataset.class_names == ("dark", "light")
    assert dict(dataset.split_sizes) == {"train": 10, "test": 4}
    first, second = (list(dataset.examples("train").as_numpy_iterator()) for _ in range(2))
    assert sorted(int(image[0, 0, 0]) for image, _ in first) == list(range(10))
    for (image, label), (again, _) in zip(first, second, strict=True):
        assert (image.shape, image.dtype, label.dtype) == ((5, 4, 3), np.uint8, np.int64)
        assert np.unique(image).size == 1
        assert label == image[0, 0, 0] % 2
        np.testing.assert_array_equal(image, again)


def test_splits_without_labels_are_refused(prepared):
    dataset = load_dataset("tiny_competition", data_dir=prepared)
    dataset.check_labelled(train_split="train[:5]", eval_split="train[5:]")
    with pytest.raises(
        ValueError,
        match=r"^Expected labels in the split of eval_split. Received: 'train\[9:\]\+test' of tiny_competition, part "
        r"of which has none\.$",
    ):
        dataset.check_labelled(train_split="train[:5]", eval_split="train[9:]+test")


def test_slices_and_sums_of_splits_are_parts_of_the_whole(prepared):
    dataset = load_dataset("tiny_set", data_dir=prepared)

    def values(split):
        return [int(image[0, 0, 0]) for image, _ in dataset.examples(split).as_numpy_iterator()]

    whole = values("train")
    assert values("train[:30%]") == whole[:3]
    assert values("train[-2:]") == whole[8:]
    assert values("test+train[2:4]") == values("test") + whole[2:4]
    assert dataset.num_examples("test+train[2:4]") == 6


def test_images_stay_encoded_until_they_are_used(prepared):
    spec, _ = load_dataset("tiny_set", data_dir=prepared).records("train").element_spec
    assert spec == tf.TensorSpec([], tf.string)


def test_an_unknown_split_is_refused_with_the_splits_there_are(prepared):
    with pytest.raises(ValueError, match=r"Expected one of the splits train, test. Received: split='validation'."):
        load_dataset("tiny_set", data_dir=prepared).examples("validation")


def test_pixels_that_are_no_bytes_are_refused(prepared):
    with pytest.raises(
        ValueError, match=r"Expected encoded images of 8 bits a channel. Received: dataset='tiny_float_set'"
    ):
        load_dataset("tiny_float_set", data_dir=prepared)


def test_a_mocked_cifar10_reads_like_the_real_one(tmp_path):
    folder = tmp_path / "cifar10" / "3.0.2"
    folder.mkdir(parents=True)
    builder = tfds.builder("cifar10", data_dir=tmp_path)
    builder.info.features.save_config(folder)
    (folder / "label.labels.txt").write_text("\n".join(f"class {label}" for label in range(10)))
    splits = [
        {
            "name": name,
            "numBytes": "0",
            "shardLengths": ["8"],
            "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        }
        for name in ("train", "test")
    ]
    information = {"name": "cifar10", "version": "3.0.2", "fileFormat": "tfrecord", "splits": splits}
    (folder / "dataset_info.json").write_text(json.dumps(information))
    with tfds.testing.mock_data(num_examples=8, data_dir=str(tmp_path)):
        dataset = load_dataset("cifar10")
        examples = list(dataset.examples("train").as_numpy_iterator())
    assert dataset.class_names == tuple(f"class {label}" for label in range(10))
    assert [image.shape for image, _ in examples] == [(32, 32, 3)] * 8
    assert dataset.num_examples("test") == 8


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("cifar100", r"--download, or `tfds build cifar100 --data_dir={0}`"),
        ("imagenette/320px", r"--download, or `tfds build imagenette/320px --data_dir={0}`"),
        ("imagenet2012", r"fetch its archives by hand .* into {0}/downloads/manual, then `tfds build imagenet2012 "),
    ],
)
def test_an_absent_set_is_refused_at_once_with_the_way_to_prepare_it(tmp_path, no_network, name, way):
    start = time.monotonic()
    with pytest.raises(FileNotFoundError, match=rf"^Expected {name} prepared in {tmp_path}/{name}") as error:
        load_dataset(name, data_dir=tmp_path)
    assert time.monotonic() - start < 5.0
    error.match(way.format(tmp_path))
    assert "\n" not in str(error.value)


def test_download_prepares_a_missing_set(tmp_path, no_network):
    with pytest.raises(FileNotFoundError):
        load_dataset("tiny_set", data_dir=tmp_path)
    dataset = load_dataset("tiny_set", data_dir=tmp_path, download=True)
    assert len(list(dataset.examples("test"))) == dataset.num_examples("test") == 4


def test_a_download_that_fails_says_why(tmp_path, monkeypatch):
    def fail(self, **keywords):
        raise OSError("no route to host\nmore lines")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(FileNotFoundError, match=r"no such data set there \(OSError: no route to host\)\.$"):
        load_dataset("cifar100", data_dir=tmp_path, download=True)


def test_a_manual_archive_that_is_missing_is_asked_for_even_with_download(tmp_path, no_network):
    with pytest.raises(FileNotFoundError, match=r"fetch its archives by hand") as error:
        load_dataset("imagenet2012", data_dir=tmp_path, download=True)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "sentences"),
    [
        ("coco/2017", r"^Expected --task=detection for images with boxes\. Received: dataset='coco/2017' without"),
        ("ag_news_subset", r"^Expected --dataset to be of images .* dataset='ag_news_subset' with supervised keys "),
    ],
)
def test_a_set_without_image_labels_is_refused_with_the_flag_to_mend(tmp_path, no_network, name, sentences):
    with pytest.raises(ValueError, match=sentences):
        load_dataset(name, data_dir=tmp_path)


def test_an_unknown_set_is_refused_with_similar_names(tmp_path, no_network):
    with pytest.raises(ValueError, match=r"Expected a data set that is bundled, a folder or .*cifar10.*'cifar_10'\.$"):
        load_dataset("cifar_10", data_dir=tmp_path)


@pytest.mark.parametrize("name", ["huggingface:mnist", "not a name", "", "cifar10/nothing", "cifar10:9.9.9"])
def test_what_tensorflow_datasets_cannot_name_is_refused_on_one_line(tmp_path, no_network, name):
    with pytest.raises(ValueError, match="Expected a name of tensorflow-datasets") as error:
        load_dataset(name, data_dir=tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("class_names", [(), ("one",), ("same", "same")])
def test_a_data_set_needs_two_distinct_classes(class_names):
    with pytest.raises(ValueError, match="two or more distinct class names"):
        ImageDataset("x", class_names, {"train": 1}, read=lambda *_: None, decode=lambda record: record)


@pytest.mark.parametrize("split_sizes", [{}, {"train": 0}])
def test_a_data_set_needs_splits_with_examples(split_sizes):
    with pytest.raises(ValueError, match="at least one example each"):
        ImageDataset("x", ("a", "b"), split_sizes, read=lambda *_: None, decode=lambda record: record)


@pytest.mark.parametrize(
    ("name", "split", "size", "shape"),
    [("cifar10", "test", 10_000, (32, 32, 3)), ("imagenette/160px-v2", "validation", 1_000, (None, None, 3))],
)
def test_real_sets_are_read_where_they_are_prepared(name, split, size, shape):
    if not (SHARED_DATA / name).is_dir():
        pytest.skip(f"{name} is not prepared here")
    dataset = load_dataset(name, data_dir=SHARED_DATA)
    assert (len(dataset.class_names), dataset.num_examples(split)) == (10, size)
    examples = dataset.examples(f"{split}[:100]")
    assert tuple(examples.element_spec[0].shape) == shape
    labels = [int(label) for _, label in examples.as_numpy_iterator()]
    assert len(set(labels)) == 10


def test_a_name_in_capitals_is_similar_to_its_own(tmp_path, no_network):
    with pytest.raises(ValueError, match=r"\(fashion_mnist_mini, image_folder, cifar10, .*: dataset='CIFAR10'"):
        load_dataset("CIFAR10", data_dir=tmp_path)


def test_a_folder_in_the_place_of_a_name_is_told_where_it_belongs(tmp_path, no_network):
    with pytest.raises(ValueError, match=r"^Expected dataset='image_folder' with the folder as data_dir .*Received: "):
        load_dataset(str(tmp_path), data_dir=tmp_path)


def test_no_name_of_a_folder_is_not_the_folder_one_is_in():
    with pytest.raises(ValueError, match=r"^Expected the folder with the images\. Received: .* with data_dir=''\.$"):
        load_dataset("image_folder", data_dir="")
