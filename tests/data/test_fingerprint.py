import dataclasses
from pathlib import Path

import pytest

from ofar_tf.data import load_dataset
from ofar_tf.data.fingerprint import Fingerprint, changed_splits, check_classes

TRAINED = Fingerprint("image_folder", ("cat", "dog", "rabbit"), {"train": "a", "val": "b"})


def named(*names):
    return Fingerprint("image_folder", names, TRAINED.splits)


@pytest.mark.parametrize(
    "other", [{"class_names": (1, 2)}, {"splits": {}}, {"splits": {"train": 5}}, {"dataset": None}]
)
def test_other_values_are_refused_in_one_line(other):
    with pytest.raises(ValueError, match=r"Expected a fingerprint of a data set. Received: ") as error:
        dataclasses.replace(TRAINED, **other)
    assert "\n" not in str(error.value)


def test_the_same_classes_in_the_same_order_pass():
    check_classes(named("cat", "dog", "rabbit"), trained=TRAINED)


@pytest.mark.parametrize(
    ("names", "difference"),
    [
        (("dog", "persian_cat", "rabbit"), "without 'cat' and with 'persian_cat'"),
        (("bird", "cat", "dog", "rabbit"), "with 'bird'"),
        (("cat", "dog"), "without 'rabbit'"),
        (("dog", "cat", "rabbit"), "with another order of them"),
        (tuple("abcdefg"), "with 'a', 'b', 'c', 'd', 'e' and 2 more"),
    ],
)
def test_other_classes_are_refused_and_the_difference_named(names, difference):
    with pytest.raises(
        ValueError, match=r"Expected the 3 classes that the run was trained on, in their order"
    ) as error:
        check_classes(named(*names), trained=TRAINED)
    assert str(error.value).endswith(f"{difference}.")


def test_splits_that_changed_appeared_or_vanished_are_named():
    now = Fingerprint("image_folder", TRAINED.class_names, {"train": "a", "val": "c", "test": "d"})
    assert changed_splits(now, trained=TRAINED) == ["test", "val"]
    assert changed_splits(TRAINED, trained=TRAINED) == []


def test_the_bundled_set_has_one():
    dataset = load_dataset("fashion_mnist_mini")
    assert sorted(dataset.fingerprint.splits) == ["test", "train"]
    assert dataset.fingerprint == load_dataset("fashion_mnist_mini").fingerprint


@pytest.fixture
def photos(tmp_path, one_png) -> Path:
    for split in ("train", "val"):
        for name in ("ant", "bee"):
            (tmp_path / split / name).mkdir(parents=True)
            for index in range(3):
                (tmp_path / split / name / f"{index}.png").write_bytes(one_png)
    return tmp_path


def fingerprint(folder):
    return load_dataset("image_folder", data_dir=folder).fingerprint


def test_a_folder_that_moved_has_the_same(photos, tmp_path_factory):
    before = fingerprint(photos)
    moved = photos.rename(tmp_path_factory.mktemp("elsewhere") / "photos")
    assert fingerprint(moved) == before


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (lambda folder: (folder / "train/ant/0.png").unlink(), ["train"]),
        (lambda folder: (folder / "val/ant/0.png").rename(folder / "val/ant/9.png"), ["val"]),
        (lambda folder: (folder / "val/ant/0.png").rename(folder / "val/bee/9.png"), ["val"]),
        (lambda folder: (folder / "val/ant/0.png").rename(folder / "train/ant/9.png"), ["train", "val"]),
    ],
)
def test_files_that_are_added_removed_renamed_or_labelled_anew_are_noticed(photos, change, changed):
    before = fingerprint(photos)
    change(photos)
    assert changed_splits(fingerprint(photos), trained=before) == changed


def test_a_class_that_was_renamed_is_noticed(photos):
    before = fingerprint(photos)
    for split in ("train", "val"):
        (photos / split / "ant").rename(photos / split / "wasp")
    with pytest.raises(ValueError, match="without 'ant' and with 'wasp'"):
        check_classes(fingerprint(photos), trained=before)
