import dataclasses
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from ofar_tf.data import (
    Augmentation,
    DamagedImageError,
    evaluation_batches,
    explain_damage,
    find_damaged,
    load_dataset,
    training_batches,
)

JPEG = tf.io.encode_jpeg(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)).numpy()
TRUNCATED = JPEG[: len(JPEG) // 2]
FLIPPED = JPEG[:20] + bytes(byte ^ 0xFF for byte in JPEG[20:40]) + JPEG[40:]


@pytest.fixture
def photos(tmp_path) -> Path:
    for split, count in [("train", 6), ("test", 2)]:
        for name in ("ant", "bee"):
            (tmp_path / split / name).mkdir(parents=True)
            for index in range(count):
                (tmp_path / split / name / f"{index}.jpg").write_bytes(JPEG)
    return tmp_path


def train(dataset):
    stream = training_batches(
        dataset,
        "train",
        batch_size=4,
        resolution=8,
        augmentation=Augmentation("random_resized_crop", flip=True),
        seed=0,
    )
    for _ in stream.take(3):
        pass


def evaluate(dataset):
    for _ in evaluation_batches(dataset, "test", batch_size=2, resolution=8):
        pass


@pytest.mark.parametrize("content", [TRUNCATED, FLIPPED, b"not an image"], ids=["truncated", "flipped", "text"])
def test_a_file_damaged_during_training_is_named_on_one_line(photos, content):
    dataset = load_dataset("image_folder", data_dir=photos)
    (photos / "train" / "bee" / "3.jpg").write_bytes(content)
    with pytest.raises(DamagedImageError) as caught, explain_damage(dataset, "train", "test"):
        train(dataset)
    message = str(caught.value)
    assert message.startswith("Expected images that can be decoded (mend or remove this one, then repeat the command).")
    assert f"Received: {photos}/train/bee/3.jpg (" in message
    assert "\n" not in message and "{{" not in message and "node" not in message
    assert isinstance(caught.value.__cause__, tf.errors.OpError)


def test_a_damaged_file_is_named_where_batches_are_viewed_in_one_call(photos):
    dataset = load_dataset("image_folder", data_dir=photos)
    (photos / "train" / "bee" / "3.jpg").write_bytes(TRUNCATED)
    known = dataclasses.replace(dataset, decode=lambda path: tf.ensure_shape(dataset.decode(path), [40, 50, 3]))
    with (
        pytest.raises(DamagedImageError, match=r"Received: .*/train/bee/3\.jpg \("),
        explain_damage(known, "train"),
    ):
        train(known)


def test_a_file_that_vanished_is_named(photos):
    dataset = load_dataset("image_folder", data_dir=photos)
    (photos / "test" / "ant" / "1.jpg").unlink()
    with (
        pytest.raises(DamagedImageError, match=r"Received: .*/test/ant/1\.jpg \(.*No such file"),
        explain_damage(dataset, "train", "test"),
    ):
        evaluate(dataset)


def test_the_first_of_several_in_the_order_of_the_split_is_named(photos):
    dataset = load_dataset("image_folder", data_dir=photos)
    paths = [Path(path.decode()) for path, _ in dataset.records("train").as_numpy_iterator()]
    paths[9].write_bytes(b"x")
    paths[4].write_bytes(b"x")
    assert find_damaged(dataset, "train").startswith(f"{paths[4]} (")
    assert find_damaged(dataset, "train[5:]").startswith(f"{paths[9]} (")
    assert find_damaged(dataset, "test+train[10:]") is None


def test_the_reason_is_what_the_decoder_says_and_no_more(photos):
    dataset = load_dataset("image_folder", data_dir=photos)
    png = bytearray(tf.io.encode_png(np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)).numpy())
    png[60] ^= 0xFF  # Within the compressed pixels, which have a checksum.
    path = photos / "train" / "ant" / "5.jpg"
    path.write_bytes(bytes(png))
    assert find_damaged(dataset, "train") == f"{path} (Invalid PNG data, size {len(png)})"


def test_other_errors_go_on_as_they_came(photos):
    dataset = load_dataset("image_folder", data_dir=photos)
    with pytest.raises(tf.errors.InvalidArgumentError, match="not about images"), explain_damage(dataset, "train"):
        raise tf.errors.InvalidArgumentError(None, None, "not about images")
    with pytest.raises(RuntimeError, match="something else"), explain_damage(dataset, "train"):
        raise RuntimeError("something else")


def test_an_error_of_the_network_reads_no_image_again(photos, monkeypatch):
    dataset = load_dataset("image_folder", data_dir=photos)
    monkeypatch.setattr("ofar_tf.data.damage.find_damaged", lambda *arguments: pytest.fail("read again"))
    with pytest.raises(tf.errors.InvalidArgumentError), explain_damage(dataset, "train", "test"):
        tf.reshape(tf.zeros([3]), [4])


def test_sound_work_is_left_alone(photos):
    dataset = load_dataset("image_folder", data_dir=photos)
    with explain_damage(dataset, "train", "test"):
        train(dataset)
        evaluate(dataset)


def test_an_example_without_a_name_is_given_by_its_number(photos):
    dataset = dataclasses.replace(load_dataset("image_folder", data_dir=photos), names=None)
    path, _ = next(dataset.records("train[7:8]").as_numpy_iterator())
    Path(path.decode()).write_bytes(b"x")
    assert find_damaged(dataset, "train[5:]").startswith("example 7 of split 'train' of image_folder (")


class PartlyDamaged(tfds.core.GeneratorBasedBuilder):
    """Ten JPEGs, the one with label 1 cut in the middle."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=["whole", "cut"]),
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for index in range(10):
            yield index, {"image": io.BytesIO(TRUNCATED if index == 4 else JPEG), "label": int(index == 4)}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tfds")
    PartlyDamaged(data_dir=folder).download_and_prepare()
    return folder


def test_a_damaged_record_is_named_by_its_place_in_its_file(prepared):
    dataset = load_dataset("partly_damaged", data_dir=prepared)
    labels = [int(label) for _, label in dataset.records("train").as_numpy_iterator()]
    place = f"partly_damaged-train.tfrecord-00000-of-00001__{labels.index(1)}"
    with pytest.raises(DamagedImageError, match=rf"Received: {place} \(.*JPEG"), explain_damage(dataset, "train"):
        train(dataset)
    assert find_damaged(dataset, "train[2:]").startswith(place)


def test_a_record_with_a_wrong_checksum_is_given_by_its_number(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "copy")
    (file,) = (tmp_path / "copy").rglob("*.tfrecord*")
    content = bytearray(file.read_bytes())
    content[100] ^= 0xFF  # Within the first record, which begins after a header of 12 bytes.
    file.write_bytes(bytes(content))
    dataset = load_dataset("partly_damaged", data_dir=tmp_path / "copy")
    name = "example 0 of split 'train' of partly_damaged"
    with (
        pytest.raises(DamagedImageError, match=rf"Received: {name} \(corrupted record at 12"),
        explain_damage(dataset, "train"),
    ):
        train(dataset)
