from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ofar_tf.data.detection import evaluation_batches, load_detection_dataset, tfds_boxes
from ofar_tf.text.size import Size

# Files are read by turns of 16 examples, unless told otherwise.
IMAGES, SHARDS = 60, 3


class TinyBoxes(tfds.core.GeneratorBasedBuilder):
    """Grey images of value i, with i % 3 boxes of class i % 2 and area i, (i + 1) / 60 wide."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        objects = {
            "bbox": tfds.features.BBoxFeature(),
            "label": tfds.features.ClassLabel(names=["ant", "bee"]),
            "is_crowd": np.bool_,
            "area": np.int64,
        }
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "image/id": np.int64,
            "objects": tfds.features.Sequence(objects),
        }
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(IMAGES), "test": self._generate_examples(3)}

    def _generate_examples(self, count):
        for index in range(count):
            box = tfds.features.BBox(0.25, 0.0, 0.75, (index + 1) / IMAGES)
            one = {"bbox": box, "label": index % 2, "is_crowd": index % 4 == 1, "area": index}
            image = np.full([8, 16, 3], index, np.uint8)
            yield index, {"image": image, "image/id": 100 + index, "objects": [one] * (index % 3)}


class TinyLabels(tfds.core.GeneratorBasedBuilder):
    """A set without boxes."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=["ant", "bee"])}
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {}

    def _generate_examples(self):
        yield from ()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tfds")
    shards = tfds.download.DownloadConfig(num_shards=SHARDS)
    TinyBoxes(data_dir=folder).download_and_prepare(download_config=shards)
    return folder


def load(folder):
    return load_detection_dataset("tiny_boxes", data_dir=folder)


@pytest.mark.parametrize("split", ["train", "train[3:48]", "test+train[-4:]"])
def test_every_image_gets_its_own_boxes_whatever_part_is_read(prepared, split):
    dataset = load(prepared)
    assert len(list((prepared / "tiny_boxes" / "1.0.0").glob("*train*"))) == SHARDS
    assert (dataset.class_names, dataset.most_boxes) == (("ant", "bee"), 2)
    images, labels = next(iter(evaluation_batches(dataset, split, batch_size=99, size=Size(8, 16))))
    assert len(images) == dataset.num_examples(split)
    for row, image in enumerate(images.numpy()):
        index = int(image[0, 0, 0])
        boxes = index % 3
        assert labels["image_id"][row] == 100 + index
        np.testing.assert_array_equal(labels["classes"][row], [index % 2] * boxes + [-1] * (2 - boxes))
        np.testing.assert_allclose(
            labels["boxes"][row][:boxes], np.tile([0.25, 0, 0.75, (index + 1) / IMAGES], [boxes, 1])
        )
        np.testing.assert_array_equal(labels["crowd"][row][:boxes], [index % 4 == 1] * boxes)
        np.testing.assert_array_equal(labels["area"][row][:boxes], [index] * boxes)


def test_annotations_of_a_large_set_are_read_once(prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(tfds_boxes, "MANY", 2)
    first = load(prepared)
    monkeypatch.setattr(tfds_boxes, "_columns", None)
    again = load(prepared)
    for name in ("image_ids", "counts", "boxes", "classes", "crowd", "areas"):
        np.testing.assert_array_equal(*(getattr(each.annotations("train"), name) for each in (first, again)))


def test_the_fingerprint_names_what_is_stored(prepared):
    assert load(prepared).fingerprint.splits["train"].startswith("tiny_boxes/1.0.0 train")


def test_a_set_without_boxes_is_refused_with_its_features_and_the_flags_to_mend(tmp_path):
    with pytest.raises(ValueError, match=r"--dataset with .* bbox .* --task=detection; .* the features image, label"):
        load_detection_dataset("tiny_labels", data_dir=tmp_path)


def test_an_absent_set_is_refused_with_the_way_to_prepare_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^Expected tiny_boxes prepared in .* --download, or `tfds build"):
        load(tmp_path)
