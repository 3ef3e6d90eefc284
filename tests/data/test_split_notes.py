from itertools import count as numbers
from pathlib import Path

import pytest

from ofar_tf.data import load_dataset, split_notes


@pytest.fixture
def another_png(one_png):
    """Gives a file that differs from all before it; what stands behind the end of an image does no harm."""
    serial = numbers()
    return lambda: one_png + bytes([next(serial)])


@pytest.fixture
def photos(tmp_path, another_png) -> Path:
    for name, count in (("ant", 8), ("bee", 8), ("cow", 1)):
        (tmp_path / name).mkdir()
        for index in range(count):
            (tmp_path / name / f"{index}.png").write_bytes(another_png())
    return tmp_path


def notes(folder, train, evaluation):
    return split_notes(load_dataset("image_folder", data_dir=folder), train_split=train, eval_split=evaluation)


def test_nothing_is_said_where_there_is_nothing_to_say():
    assert split_notes(load_dataset("fashion_mnist_mini"), train_split="train", eval_split="test") == []


def test_a_division_is_said_where_it_is_used(photos):
    said = notes(photos, "train", "validation")
    assert said[0].startswith(f"{photos} has no folders of splits: it is divided 80/20 into train (14 images)")
    assert notes(photos, "train[:90%]", "all[14:]")[0] == said[0]
    assert not any("divided" in note for note in notes(photos, "all[:80%]", "all[80%:]"))


def test_classes_that_are_never_trained_or_measured_are_named(photos):
    assert notes(photos, "all[:14]", "all[14:]") == ["1 of 3 classes have no evaluation image in 'all[14:]': cow."]
    (said,) = notes(photos, "all[:3]", "all[3:]")
    assert said == "1 of 3 classes have no training image in 'all[:3]': cow."


def test_of_many_names_the_first_are_said(tmp_path, another_png):
    for number in range(10):
        (tmp_path / f"class{number}").mkdir()
        (tmp_path / f"class{number}" / "only.png").write_bytes(another_png())
    training, evaluation = notes(tmp_path, "all[:80%]", "all[80%:]")
    assert training == "2 of 10 classes have no training image in 'all[:80%]': class8, class9."
    assert evaluation.endswith("in 'all[80%:]': class0, class1, class2 and 5 more.")


def test_copies_of_training_images_and_of_images_of_another_class_are_counted(tmp_path, another_png):
    for split in ("train", "test"):
        for name in ("ant", "bee"):
            (tmp_path / split / name).mkdir(parents=True)
            for index in range(3):
                (tmp_path / split / name / f"{index}.png").write_bytes(another_png())
    assert notes(tmp_path, "train", "test") == []
    for copy, original in (("test/ant/1.png", "train/bee/2.png"), ("test/bee/0.png", "train/ant/0.png")):
        (tmp_path / copy).write_bytes((tmp_path / original).read_bytes())
    (said, torn) = notes(tmp_path, "train", "test")
    assert said.startswith("2 of 6 evaluation images are copies of training images, so their accuracy is too good: ")
    assert said.endswith(" and others.")
    assert torn.startswith("2 of 12 images are copies of images of another class: ")
    # Copies within the training images of a class make no accuracy too good.
    (tmp_path / "train/ant/2.png").write_bytes((tmp_path / "train/ant/1.png").read_bytes())
    assert notes(tmp_path, "train", "test") == [said, torn]
