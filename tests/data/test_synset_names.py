import json

import pytest
import tensorflow_datasets as tfds

from ofar_tf.data import check_class_names, load_dataset
from ofar_tf.data.synset_names import named_synsets


def imagenet_labels():
    path = tfds.core.tfds_path() / "datasets" / "imagenet2012" / "labels.txt"
    if not path.exists():
        pytest.skip("tensorflow-datasets keeps the labels elsewhere")
    return path.read_text().split()


def test_all_of_imagenets_classes_have_distinct_names():
    names = named_synsets(imagenet_labels())
    assert len(check_class_names(names)) == 1000
    # Rank in the order of the numbers, as everyone's lists have it.
    assert (names[0], names[1], names[999]) == ("tench", "goldfish", "toilet tissue")
    assert (names[134], names[517]) == ("crane (n02012849)", "crane (n03126707)")


@pytest.mark.parametrize("names", [("cat", "dog"), ("n01440764", "dog"), ("n99999999", "n01440764")])
def test_other_names_stay_as_they_are(names):
    assert named_synsets(names) == names


def test_a_set_of_tensorflow_datasets_has_them(tmp_path):
    folder = tmp_path / "imagenette" / "160px-v2" / "1.0.0"
    folder.mkdir(parents=True)
    builder = tfds.builder("imagenette/160px-v2", data_dir=tmp_path)
    builder.info.features.save_config(folder)
    split = {
        "name": "train",
        "numBytes": "1",
        "shardLengths": ["1"],
        "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}",
    }
    information = {"name": "imagenette", "configName": "160px-v2", "version": "1.0.0", "fileFormat": "tfrecord"}
    (folder / "dataset_info.json").write_text(json.dumps({**information, "splits": [split]}))
    names = load_dataset("imagenette/160px-v2", data_dir=tmp_path).class_names
    assert names[:3] == ("tench", "English springer", "cassette player")
