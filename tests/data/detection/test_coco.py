import gzip
import json
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.data import split_notes
from ofar_tf.data.detection import folder, load_detection_dataset
from ofar_tf.data.image_check import try_image
from tests.json_places import places, put

from .conftest import CATEGORIES, coco, write_png

SHARED = Path(__file__).parents[4] / "shared" / "data" / "bccd"


def load(folder):
    return load_detection_dataset("coco_folder", data_dir=folder)


def box(**changes):
    return {"id": 1, "image_id": 10, "category_id": 3, "bbox": [4, 5, 8, 10], **changes}


def test_categories_become_contiguous_classes_in_the_order_of_their_numbers(coco_dir):
    dataset = load(coco_dir(annotations=[box(), box(id=2, category_id=7)]))
    assert dataset.class_names == ("ant", "bee")
    np.testing.assert_array_equal(dataset.annotations("all").classes, [0, 1])


def test_boxes_are_shares_of_the_image_and_images_without_boxes_stay(coco_dir):
    dataset = load(coco_dir())
    known = dataset.annotations("all")
    assert sorted(known.counts) == [0, 1]
    assert dataset.split_sizes == {"all": 2}
    np.testing.assert_allclose(known.boxes, [[5 / 20, 4 / 40, 15 / 20, 12 / 40]])
    assert known.areas == [60.0]
    assert known.image_ids[known.counts == 1] == [10]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bbox": [4, 5, float("nan"), 10]}, r"boxes of finite numbers.*right = 5, 4, 15, nan on 0.png"),
        ({"bbox": [4, 5, -8, 10]}, r"left before their right. Received: .* = 5, 4, 15, -4 on 0.png"),
        ({"bbox": [4, 5, 8]}, r"Expected 'bbox' as four numbers"),
        ({"bbox": ["4", 5, 8, 10]}, r"Expected 'bbox' as four numbers"),
        ({"image_id": 99}, r"1 of another image, the first of number 99"),
        ({"category_id": 99}, r"1 of another category, the first of number 99"),
        ({"image_id": None}, r"Expected 'image_id' as a whole number"),
        ({"image_id": "ten"}, r"1 of another image, the first of number 'ten'"),
        ({"category_id": "ant"}, r"Expected 'category_id' as a whole number"),
        ({"bbox": [], "segmentation": {"counts": [0, 4], "size": [20, 40]}}, r"Expected 'bbox' as four numbers"),
        ({"area": -3.0}, r"Expected areas of 0 or more"),
    ],
)
def test_annotations_that_nobody_can_trust_are_refused_in_one_line(coco_dir, changes, message):
    with pytest.raises(ValueError, match=message) as error:
        load(coco_dir(annotations=[box(**changes)]))
    assert "\n" not in str(error.value) and "instances_train.json" in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": []}, "at least one image"),
        ({"images": coco()["images"] * 2}, "each image once in .* Received: image 10 twice"),
        ({"categories": [{"id": 3, "name": "ant"}, {"id": 3, "name": "bee"}]}, "each category once"),
        ({"categories": [{"id": 3, "name": "ant"}, {"id": 7, "name": "Ant"}]}, "distinct class names"),
        ({"categories": None}, "lists of images, annotations and categories"),
    ],
)
def test_files_that_contradict_themselves_are_refused(coco_dir, changes, message):
    with pytest.raises(ValueError, match=message):
        load(coco_dir(**changes))


def test_one_file_for_two_images_is_refused(coco_dir):
    images = [{**image, "file_name": "0.png"} for image in coco()["images"]]
    with pytest.raises(ValueError, match=r"each file once in .* Received: file '0.png' twice"):
        load(coco_dir(images=images))


def test_a_damaged_file_is_refused_by_name(coco_dir):
    folder = coco_dir()
    (folder / "instances_train.json").write_text('{"images": [')
    with pytest.raises(ValueError, match=r"Expected JSON in .*instances_train.json. Received: Expecting value"):
        load(folder)


def test_missing_images_are_counted_and_the_first_is_named(coco_dir):
    folder = coco_dir(images=coco(5)["images"])
    with pytest.raises(FileNotFoundError, match=r"the 5 images .* Received: 3 of them missing, the first \d.png"):
        load(folder)


def test_a_cut_off_image_is_refused_by_name(coco_dir):
    folder = coco_dir()
    (folder / "train" / "1.png").write_bytes((folder / "train" / "1.png").read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"Expected a readable image. Received: .*train/1.png"):
        load(folder)


def test_boxes_are_cut_at_the_edge_and_empty_ones_left_out_with_a_count(coco_dir):
    boxes = [[30, 5, 20, 10], [-0.5, 0, 8, 10], [4, 5, 0, 10], [50, 0, 10, 10]]
    dataset = load(coco_dir(annotations=[box(id=index, bbox=each) for index, each in enumerate(boxes)]))
    np.testing.assert_allclose(dataset.annotations("all").boxes, [[0.25, 0.75, 0.75, 1], [0, 0, 0.5, 7.5 / 40]])
    assert dataset.notes == (
        "1 boxes of 'all' leave their images; they were cut at the edge.",
        "2 boxes of 'all' have no area within their images; they were left out.",
    )


def test_deep_images_are_scaled_alike_and_that_is_said(coco_dir):
    folder = coco_dir()
    for name, greatest in (("0", 4000), ("1", 500)):
        pixels = np.full((20, 40, 1), greatest, np.uint16)
        (folder / "train" / f"{name}.png").write_bytes(tf.io.encode_png(pixels).numpy())
    dataset = load(folder)
    assert dataset.depth == 12
    assert dataset.notes == (f"The 16-bit PNG files in {folder} hold values of at most 12 bits, and are read as such.",)


def test_crowds_stay_and_count_for_no_class(coco_dir):
    dataset = load(coco_dir(annotations=[box(iscrowd=1), box(id=2, category_id=7)]))
    np.testing.assert_array_equal(dataset.annotations("all").crowd, [True, False])
    np.testing.assert_array_equal(dataset.class_counts("all"), [0, 1])


def test_a_class_without_a_box_is_named_before_training(coco_dir):
    notes = split_notes(load(coco_dir()), train_split="all[:50%]", eval_split="all")
    assert "1 of 2 classes have no evaluation box in 'all': bee." in notes


def test_a_category_that_others_stand_under_is_no_class(coco_dir):
    # As Roboflow writes the project, which may be called like a class; COCO's own "person" stands under itself.
    root = {"id": 0, "name": "ant", "supercategory": "none"}
    under = [{**each, "supercategory": "ant"} for each in CATEGORIES]
    dataset = load(coco_dir(categories=[root, *under]))
    assert dataset.class_names == ("ant", "bee")
    assert any("'ant' is no class" in note for note in dataset.notes)
    itself = [CATEGORIES[1], {**CATEGORIES[0], "supercategory": "bee"}]
    assert load(coco_dir(categories=itself)).class_names == ("ant", "bee")
    # With boxes of its own it is a class like the others.
    used = [{"id": 3, "name": "insect", "supercategory": "none"}, {"id": 7, "name": "bee", "supercategory": "insect"}]
    assert load(coco_dir(categories=used)).class_names == ("insect", "bee")


def test_an_image_of_another_shape_than_its_annotations_say_is_refused(coco_dir):
    images = [{**image, "height": 40} for image in coco()["images"]]
    with pytest.raises(ValueError, match=r"Received: \d.png of 40x20 pixels instead of 40x40, and 1 more."):
        load(coco_dir(images=images))


def test_a_smaller_copy_of_an_image_keeps_its_boxes_and_its_areas_follow(coco_dir):
    images = [{**image, "height": 41, "width": 80} for image in coco()["images"]]
    known = load(coco_dir(images=images, annotations=[box(bbox=[8, 10, 16, 20], area=240.0)])).annotations("all")
    np.testing.assert_allclose(known.boxes, [[10 / 41, 8 / 80, 30 / 41, 24 / 80]], rtol=1e-6)
    np.testing.assert_allclose(known.areas, [240.0 * (20 * 40) / (41 * 80)])


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("instances_{}.json", "{}"),
        ("annotations/instances_{}2017.json", "{}2017"),
        ("annotations/instances_{}.json", "images"),
        ("{}.json", "images/{}"),
        ("{}/_annotations.coco.json", "{}"),
        ("{}/annotations/all.json", "{}/images"),
        ("{}/labels.json", "{}/data"),
        ("{}_annotations.json", "pictures/{}_images"),
        ("annotations/boxes_{}.json", "data/camera"),
        ("cells/annotations/instances_{}.json", "cells/{}"),
    ],
)
def test_every_usual_layout_is_found(tmp_path, annotations, images):
    for number, split in enumerate(("train", "val")):
        path = tmp_path / annotations.format(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = coco(2 + number)
        for image in content["images"]:
            image["file_name"] = f"{split}_{image['file_name']}"
            write_png(tmp_path / images.format(split) / image["file_name"])
        path.write_text(json.dumps(content))
    if annotations.startswith("annotations/instances"):
        (tmp_path / "annotations" / "captions_train2017.json").write_text("{}")
    assert load(tmp_path).splits == {"train": 2, "val": 3}


def test_json_of_another_kind_is_noted_unless_it_is_called_as_annotations_are(coco_dir):
    folder = coco_dir()
    (folder / "instances_train.json").rename(folder / "train" / "cells.json")
    (folder / "dataset-metadata.json").write_text('{"title": "cells"}')
    dataset = load(folder)
    assert dataset.split_sizes == {"all": 2}
    assert dataset.notes[0].endswith("dataset-metadata.json without COCO's three lists: not used.")
    (folder / "val.json").write_text('{"images": []}')
    with pytest.raises(ValueError, match=r"lists of images, annotations and categories in .*val.json. Received: \['im"):
        load(folder)


def test_images_that_only_the_split_in_the_name_of_their_folder_tells_apart_are_not_confused(tmp_path):
    for number, split in enumerate(("train", "val")):
        for index in range(2):
            write_png(tmp_path / f"{split}_pictures" / f"{index}.png", height=20 + 20 * number, width=40)
        content = coco(2)
        for image in content["images"]:
            image["height"] += 20 * number
        (tmp_path / f"{split}.json").write_text(json.dumps(content))
    assert {path.parent.name for path in load(tmp_path).files_of("val")} == {"val_pictures"}
    (tmp_path / "val_pictures").rename(tmp_path / "test_pictures")
    with pytest.raises(FileNotFoundError, match=r"val.json names in .*: 2 of them missing, the first"):
        load(tmp_path)


def test_images_that_lie_in_two_folders_are_refused(coco_dir):
    folder = coco_dir()
    (folder / "train").rename(folder / "pictures")
    shutil.copytree(folder / "pictures", folder / "masks")
    with pytest.raises(
        ValueError, match=r"in one folder. Received: .*/(pictures|masks) and .*, both with 2 of them\.$"
    ):
        load(folder)


@pytest.mark.parametrize("stored", ["0.PNG", "a b.png"])
def test_images_are_found_where_only_the_writing_of_their_names_differs(coco_dir, stored):
    folder = coco_dir(images=[{**coco()["images"][0], "file_name": "0.png" if stored == "0.PNG" else "a%20b.png"}])
    (folder / "train" / "0.png").rename(folder / "train" / stored)
    assert [path.name for path in load(folder).files_of("all")] == [stored]


def test_two_names_of_one_file_are_refused(coco_dir):
    folder = coco_dir(
        images=[{**coco()["images"][0], "id": 10 + i, "file_name": f"1.{x}"} for i, x in enumerate(("png", "PNG"))]
    )
    with pytest.raises(ValueError, match=r"Expected each file once in .* '1.png' twice"):
        load(folder)


def test_files_with_different_categories_are_refused(coco_dir):
    folder = coco_dir()
    categories = [{"id": 3, "name": "bee"}, {"id": 7, "name": "ant"}]
    (folder / "instances_val.json").write_text(json.dumps({**coco(), "categories": categories}))
    with pytest.raises(ValueError, match=r"Expected the same categories.* 3 as 'ant' in .*train.json and 'bee' in"):
        load(folder)


def test_a_file_may_list_fewer_categories_than_another(coco_dir):
    folder = coco_dir()
    (folder / "train").rename(folder / "images")
    content = {**coco(), "categories": [{"id": 7, "name": "bee"}], "annotations": [box(category_id=7)]}
    (folder / "instances_val.json").write_text(json.dumps(content))
    dataset = load(folder)
    assert dataset.class_names == ("ant", "bee")
    np.testing.assert_array_equal(dataset.annotations("val").classes, [1])


@pytest.mark.parametrize(
    "changes",
    [
        {"image_id": 10.0, "category_id": "3"},
        {"area": None, "iscrowd": None},
        {"bbox": None, "segmentation": [[4, 5, 12, 5, 12, 15], [4, 15, 12, 14]]},
    ],
)
def test_what_other_tools_write_means_the_same(coco_dir, changes):
    known = load(coco_dir(annotations=[box(**changes)])).annotations("all")
    np.testing.assert_allclose(known.boxes, [[5 / 20, 4 / 40, 15 / 20, 12 / 40]])
    assert known.image_ids[known.counts == 1] == [10]


def test_images_that_texts_name_are_counted(coco_dir):
    images = [{**image, "id": f"photo {image['id']}"} for image in coco()["images"]]
    known = load(coco_dir(images=images, annotations=[box(image_id=images[1]["id"])])).annotations("all")
    assert known.image_ids[known.counts == 1] == [1]


@pytest.mark.parametrize("name", ["train\\{}", ".\\train\\{}", "/home/ada/photos/{}", "C:\\photos\\{}", "../up/{}"])
def test_images_are_found_where_paths_are_those_of_another_machine(coco_dir, name):
    images = [{**image, "file_name": name.format(image["file_name"])} for image in coco()["images"]]
    assert load(coco_dir(images=images)).split_sizes == {"all": 2}


def test_a_mark_at_the_start_of_the_file_does_no_harm(coco_dir):
    path = coco_dir() / "instances_train.json"
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert load(path.parent).split_sizes == {"all": 2}


def test_a_single_file_is_divided_80_20_whatever_the_order_in_it(coco_dir):
    folder = coco_dir(images=coco(10)["images"])
    for index in range(10):
        write_png(folder / "train" / f"{index}.png")
    dataset = load(folder)
    assert dataset.splits == {"all": 10, "train": 8, "validation": 2}
    assert "is divided 80/20 into train (8 images) and validation (2 images)" in dataset.division
    ids = dataset.annotations("all").image_ids
    assert list(ids) != sorted(ids)
    coco_dir(images=coco(10)["images"][::-1])
    np.testing.assert_array_equal(load(folder).annotations("all").image_ids, ids)
    other = load_detection_dataset("coco_folder", data_dir=folder, split_seed=1).annotations("all").image_ids
    assert list(other) != list(ids)


def test_changed_boxes_change_the_fingerprint(coco_dir):
    before = load(coco_dir()).fingerprint
    assert load(coco_dir()).fingerprint == before
    assert load(coco_dir(annotations=[box(bbox=[4, 5, 8, 9])])).fingerprint != before


@pytest.mark.parametrize("name", [None, "nowhere"])
def test_a_folder_without_annotations_is_refused_with_the_layouts(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=r"^Expected data_dir/instances_<split>.json or"):
        load(tmp_path / name if name else tmp_path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the blood cells are not beside the checkout")
def test_the_blood_cells_are_read_as_they_are():
    dataset = load(SHARED)
    assert dataset.class_names == ("RBC", "WBC", "Platelets")
    assert dataset.splits == {"test": 72, "train": 205, "val": 87}
    np.testing.assert_array_equal(dataset.class_counts("train+val+test"), [4153, 372, 361])


def test_images_of_a_large_split_are_opened_again_only_where_one_has_changed(coco_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(folder, "MANY", 1)
    opened = []
    monkeypatch.setattr(folder, "try_image", lambda path: opened.append(path.name) or try_image(path))
    place = coco_dir()
    fingerprints = [load(place).fingerprint for _ in range(2)]
    assert fingerprints[0] == fingerprints[1] and len(opened) == 2
    (place / "train" / "1.png").write_bytes((place / "train" / "1.png").read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"readable image. Received: .*train/1.png"):
        load(place)


@pytest.mark.parametrize("many", [folder.MANY, 1], ids=["looked at", "remembered"])
def test_images_of_unusual_kinds_are_read_as_they_are_without_boxes(coco_dir, tmp_path, monkeypatch, many):
    image_module = pytest.importorskip("PIL.Image")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(folder, "MANY", many)
    place = coco_dir(images=[{**each, "file_name": f"{index}.webp"} for index, each in enumerate(coco()["images"])])
    for index in range(2):
        seen = np.full([20, 40, 4], (90, 90, 90, 120), np.uint8)
        image_module.fromarray(seen).save(place / "train" / f"{index}.webp", lossless=True)
    for _ in range(2):
        for image, _ in load(place).examples("all"):
            np.testing.assert_array_equal(image, np.full([20, 40, 3], 90))


@pytest.mark.parametrize("other", [None, -1, 2**70, 1e400, "x", True, [], {}], ids=repr)
def test_whatever_stands_in_the_file_it_is_read_or_refused_in_one_line(coco_dir, other):
    original = coco()
    for way in list(places(original))[1:]:
        try:
            load(coco_dir(**put(original, way, other)))
        except (ValueError, OSError) as error:
            assert "Expected" in str(error) and "\n" not in str(error), way


def test_what_other_programs_leave_beside_the_files_is_not_read(coco_dir):
    folder = coco_dir()
    (folder / "instances_train.json").rename(folder / "train.json")
    (folder / "._train.json").write_bytes(b"\0\5\x16\7\xff")
    assert load(folder).split_sizes == {"all": 2}


def test_a_packed_file_is_read_and_a_damaged_one_refused(coco_dir):
    folder = coco_dir()
    plain = folder / "instances_train.json"
    packed = folder / "instances_train.json.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert load(folder).split_sizes == {"all": 2}
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"Expected JSON in .*json.gz"):
        load(folder)


@pytest.mark.parametrize("composed", [True, False])
def test_images_in_folders_are_found_where_paths_are_those_of_another_machine(tmp_path, composed):
    forms = ("NFC", "NFD") if composed else ("NFD", "NFC")
    said, stored = (unicodedata.normalize(form, "né/1.png") for form in forms)
    for name in (stored, "b/1.png"):
        write_png(tmp_path / "images" / name)
    content = coco()
    for image, name in zip(content["images"], (said, "b/1.png"), strict=True):
        image["file_name"] = f"/home/ada/cells/images/{name}"
    (tmp_path / "train.json").write_text(json.dumps(content))
    assert load(tmp_path).split_sizes == {"all": 2}


def test_a_flag_may_be_a_text_and_a_size_unknown(coco_dir):
    images = [{**coco()["images"][0], "height": None, "width": None}, {**coco()["images"][1], "height": "20"}]
    dataset = load(coco_dir(images=images, annotations=[box(iscrowd="0"), box(id=2, iscrowd=True)]))
    assert sorted(dataset.annotations("all").crowd) == [False, True]
    with pytest.raises(ValueError, match="Expected 'iscrowd' as 0 or 1"):
        load(coco_dir(annotations=[box(iscrowd="no")]))
