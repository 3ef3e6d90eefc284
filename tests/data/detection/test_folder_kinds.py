import json
from itertools import product
from pathlib import Path

import pytest

from ofar_tf.data import load_dataset
from ofar_tf.data.detection import load_detection_dataset
from tests.data.detection.conftest import coco, write_png

FOLDERS = ("image_folder", "coco_folder", "voc_folder", "yolo_folder")
XML = "<annotation><object><name>ant</name><bndbox>{}</bndbox></object></annotation>".format(
    "".join(f"<{name}>{place}</{name}>" for name, place in (("xmin", 1), ("ymin", 1), ("xmax", 9), ("ymax", 9)))
)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def lay_out(folder: Path, kind: str) -> Path:
    """Lays two images of each split as the tools do that write this kind."""
    for split in ("train", "val"):
        for index in range(2):
            bare = f"images/{split}/{index}"
            if kind == "image_folder":
                write_png(folder / split / "ant" / f"{index}.png")
                write_png(folder / split / "bee" / f"{index}.png")
                continue
            write_png(folder / f"{bare}.png")
            if kind == "voc_folder":
                write(folder / "annotations" / split / f"{index}.xml", XML)
            if kind == "yolo_folder":
                write(folder / "labels" / split / f"{index}.txt", "0 .5 .5 .2 .2\n")
        if kind == "coco_folder":
            write(folder / "annotations" / f"instances_{split}.json", json.dumps(coco()))
    return folder


@pytest.mark.parametrize(
    ("asked", "lies", "detects"),
    [
        (asked, lies, detects)
        for asked, lies, detects in product(FOLDERS, FOLDERS, [True, False])
        if asked != lies or detects == (lies == "image_folder")
    ],
)
def test_a_folder_taken_for_another_kind_is_refused_by_its_own(tmp_path, lies, asked, detects):
    # YOLO's folder needs no names of classes to be known.
    flags = f"--task=detection --dataset={lies}" if lies != "image_folder" else "--dataset=image_folder without"
    with pytest.raises((ValueError, FileNotFoundError), match=r"^Expected [^\n]* Received: [^\n]*\.$") as error:
        (load_detection_dataset if detects else load_dataset)(asked, data_dir=lay_out(tmp_path, lies))
    said = str(error.value)
    assert (f"; it is a folder for {flags}" in said) == (asked != lies)
    assert asked != lies or "Expected --task=detection" in said or "Expected --dataset with boxes" in said


def test_what_is_wrong_within_a_folder_of_the_right_kind_is_said_alone(tmp_path):
    lay_out(tmp_path, "coco_folder")
    write(tmp_path / "annotations" / "0.xml", XML)
    (tmp_path / "images" / "train" / "0.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"^Expected a readable image") as error:
        load_detection_dataset("coco_folder", data_dir=tmp_path)
    assert "it is a folder for" not in str(error.value)


def test_sets_with_boxes_are_refused_without_the_task_and_known_by_their_names():
    with pytest.raises(ValueError, match=r"^Expected --task=detection .* Received: dataset='fashion_mnist_scenes' wit"):
        load_dataset("fashion_mnist_scenes")


def test_splits_of_images_in_one_folder_are_no_classes(tmp_path):
    for split in ("train", "val"):
        write_png(tmp_path / "images" / split / "0.png")
    with pytest.raises(ValueError, match=r"and no class but train and val, which splits are called\.$"):
        load_dataset("image_folder", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("0.json", '{"version": "5.4", "flags": {}, "shapes": [{"label": "ant"}], "imagePath": "0.png"}', "LabelMe's"),
        ("project.json", '[{"id": 1, "annotations": [{"result": [{"original_width": 40}]}]}]', "Label Studio's"),
        ("via.json", '{"0.png9": {"regions": [{"shape_attributes": {}}]}}', "of VGG's annotator"),
        ("annotations.xml", "<?xml version='1.0'?>\n<annotations>\n<meta></meta></annotations>", "CVAT's"),
        ("train-annotations-bbox.csv", "ImageID,XMin\n0,0.5\n", "a table"),
        ("train/_annotations.csv", "filename,width\n", "a table"),
        ("ants.tfrecord-00000-of-00002", "", "TFRecords"),
    ],
)
@pytest.mark.parametrize("asked", FOLDERS)
def test_annotations_that_nothing_reads_are_named_with_what_to_do(tmp_path, asked, name, content, kind):
    write_png(tmp_path / "0.png")
    write(tmp_path / name, content)
    detects = asked != "image_folder"
    with pytest.raises((ValueError, FileNotFoundError), match=r"^Expected [^\n]* Received: [^\n]*\.$") as error:
        (load_detection_dataset if detects else load_dataset)(asked, data_dir=tmp_path)
    todo = (
        "export or convert it to COCO's JSON" if detects or kind != "a table" else "put the images of each class into"
    )
    assert f"{name} is {kind}, which is not read: {todo}" in str(error.value)


@pytest.mark.parametrize("asked", ["image_folder", "voc_folder", "yolo_folder"])
def test_a_table_beside_what_is_read_is_nothing_to_name(tmp_path, asked):
    write(lay_out(tmp_path, "coco_folder") / "history.csv", "epoch,loss\n")
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        (load_dataset if asked == "image_folder" else load_detection_dataset)(asked, data_dir=tmp_path)
    assert "which is not read" not in str(error.value)
