import unicodedata

import numpy as np
import pytest

from ofar_tf.data.detection import load_detection_dataset

from .conftest import write_png

BEE = ("bee", 3, 5, 20, 18)


def load(folder):
    return load_detection_dataset("voc_folder", data_dir=folder)


def xml(*objects, size=(20, 40), difficult=0):
    """An annotation of an image of 40x20 pixels; objects are (name, xmin, ymin, xmax, ymax)."""
    parts = [
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{left}</xmin><ymin>{top}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        for name, left, top, right, bottom in objects
    ]
    height, width = size
    return f"<annotation><size><width>{width}</width><height>{height}</height></size>{''.join(parts)}</annotation>"


def write(folder, annotations, images, **contents):
    for stem, content in contents.items():
        write_png(folder / images / f"{stem}.png")
        (folder / annotations).mkdir(parents=True, exist_ok=True)
        (folder / annotations / f"{stem}.xml").write_text(content)
    return folder


def test_corners_count_pixels_from_one_on_and_classes_are_the_names_that_occur(tmp_path):
    write(tmp_path, "Annotations", "JPEGImages", a=xml(BEE), b=xml(("ant", 1, 1, 40, 20)), c=xml())
    dataset = load(tmp_path)
    assert (dataset.class_names, dataset.splits["all"]) == (("ant", "bee"), 3)
    known = dataset.annotations("all")
    boxes = {int(kind): box for kind, box in zip(known.classes, known.boxes, strict=True)}
    np.testing.assert_allclose(boxes[1], [4 / 20, 2 / 40, 18 / 20, 20 / 40])
    np.testing.assert_allclose(boxes[0], [0, 0, 1, 1])
    assert sorted(known.counts) == [0, 1, 1]


def test_corners_are_distances_where_one_is_at_zero_which_voc_has_not(tmp_path):
    write(tmp_path, "Annotations", "JPEGImages", a=xml(BEE), b=xml(("bee", 10.5, 0, 40, 20)))
    known = load(tmp_path).annotations("all")
    expected = [[0, 10.5 / 40, 1, 1], [5 / 20, 3 / 40, 18 / 20, 20 / 40]]
    np.testing.assert_allclose(sorted(known.boxes.tolist()), expected, rtol=1e-6)


def test_what_is_difficult_need_not_be_found(tmp_path):
    write(tmp_path, ".", ".", a=xml(BEE, difficult=1), b=xml(BEE))
    assert sorted(load(tmp_path).annotations("all").crowd) == [False, True]


def test_lists_are_splits(tmp_path):
    write(tmp_path, "Annotations", "JPEGImages", a=xml(BEE), b=xml(BEE), c=xml(BEE))
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for name, stems in {"train": "a\nb\n", "val": "c\n", "trainval": "a\nb\nc\n", "bee_train": "a 1\nb -1\n"}.items():
        (lists / f"{name}.txt").write_text(stems)
    assert load(tmp_path).splits == {"train": 2, "val": 1}
    (lists / "val.txt").write_text("c\nd\n")
    with pytest.raises(
        FileNotFoundError, match=r"each name in .*val.txt. Received: 1 of 2 without one, such as \['d'\]"
    ):
        load(tmp_path)


def test_a_list_may_have_suffixes_blanks_and_windows_line_ends_and_say_what_is_shown(tmp_path):
    write(tmp_path, "Annotations", "JPEGImages", **{"a bee": xml(BEE), "b": xml(BEE), "c": xml(BEE)})
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_bytes(b"\xef\xbb\xbfa bee\r\nb.png\r\n\r\n")
    (lists / "val.txt").write_text("c  -1\n")
    assert load(tmp_path).splits == {"train": 2, "val": 1}


def test_a_list_of_training_and_validation_is_train_where_there_is_neither(tmp_path):
    write(tmp_path, "Annotations", "JPEGImages", a=xml(BEE), b=xml(BEE), c=xml(BEE))
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "trainval.txt").write_text("a\nb\n")
    (lists / "test.txt").write_text("c\n")
    assert load(tmp_path).splits == {"train": 2, "test": 1}


@pytest.mark.parametrize(
    ("annotations", "images"), [("Annotation", "Images"), ("annotations/xmls", "images"), ("labels", "data")]
)
def test_annotations_are_found_in_folders_below_and_in_those_that_tools_write(tmp_path, annotations, images):
    write(tmp_path, annotations, images, a=xml(BEE))
    write(tmp_path, f"{annotations}/night", f"{images}/night", b=xml(BEE))
    (tmp_path / annotations / "a.xml").rename(tmp_path / annotations / "a.XML")
    dataset = load(tmp_path)
    assert sorted(path.name for path in dataset.files_of("all")) == ["a.png", "b.png"]
    assert (dataset.notes, dataset.annotations("all").counts.tolist()) == ((), [1, 1])


@pytest.mark.parametrize("images", ["images/{}", "images"])
def test_folders_of_annotations_that_are_called_like_splits_are_splits(tmp_path, images):
    write(tmp_path, "annotations/train", images.format("train"), a=xml(BEE), b=xml(BEE))
    write(tmp_path, "annotations/val", images.format("val"), c=xml(BEE))
    assert load(tmp_path).splits == {"train": 2, "val": 1}


def test_a_list_may_be_in_any_case_of_letters_and_have_names_in_quotes_and_with_folders(tmp_path):
    write(tmp_path, "Annotations/cam 1", "JPEGImages/cam 1", a=xml(BEE), b=xml(BEE))
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    (tmp_path / "ImageSets/Main/Train.txt").write_text('"cam 1/a"\n')
    (tmp_path / "ImageSets/Main/Validation.txt").write_text("cam 1/b.png\n")
    assert load(tmp_path).splits == {"train": 1, "validation": 1}


@pytest.mark.parametrize(("annotations", "images"), [(".", "."), ("annotations", "images")])
def test_folders_are_splits(tmp_path, annotations, images):
    write(tmp_path / "train", annotations, images, a=xml(BEE), b=xml(BEE))
    write(tmp_path / "valid", annotations, images, a=xml(BEE))
    assert load(tmp_path).splits == {"train": 2, "validation": 1}


def test_two_places_of_one_split_are_refused(tmp_path):
    for name in ("train", "valid", "validation"):
        write(tmp_path / "folders" / name, ".", ".", a=xml(BEE))
    with pytest.raises(
        ValueError,
        match=r"^Expected one folder for each split\. Received: .*/valid and .*/validation, both of .* 'validation'\.$",
    ):
        load(tmp_path / "folders")
    write(tmp_path, "Annotations", "JPEGImages", a=xml(BEE), b=xml(BEE))
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    for name in ("valid", "validation"):
        (tmp_path / "ImageSets" / "Main" / f"{name}.txt").write_text("a\n")
    with pytest.raises(ValueError, match=r"^Expected one list for each split\. Received: .*/valid\.txt and "):
        load(tmp_path)


def test_sizes_of_nothing_are_those_of_the_image(tmp_path):
    write(tmp_path, ".", ".", a=xml(BEE, size=(0, 0)))
    np.testing.assert_allclose(load(tmp_path).annotations("all").boxes, [[0.2, 0.05, 0.9, 0.5]])


def test_images_that_nobody_annotated_are_counted(tmp_path):
    write(tmp_path, "Annotations", "JPEGImages", a=xml(BEE), b=xml(BEE))
    write_png(tmp_path / "JPEGImages" / "c.png")
    assert load(tmp_path).notes == (f"1 images in {tmp_path / 'JPEGImages'} have no XML file and are not used.",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "<annotations><image/></annotations>",
            "in VOC's XML in .*a.xml. Received: an element 'annotations' with no ob",
        ),
        ("<annotation><object>", "Expected annotations in VOC's XML in .*a.xml. Received: no element found"),
        (xml(("bee", 3, "x", 20, 18)), "could not convert string to float: 'x'"),
        (xml(("", 3, 5, 20, 18)), "an object without name"),
        ("<annotation><object><name>bee</name></object></annotation>", "an object without bndbox/xmin"),
        (xml(("bee", 30, 5, 20, 18)), "left before their right.*right = 4, 29, 18, 20 on a.png"),
        (xml(("bee", 3, 5, "nan", 18)), "boxes of finite numbers"),
        (xml(BEE, size=(40, 40)), "a.png of 40x20 pixels instead of 40x40"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, content, message):
    write(tmp_path, ".", ".", a=content)
    with pytest.raises(ValueError, match=message) as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


def test_an_xml_file_without_an_image_is_refused(tmp_path):
    write(tmp_path, ".", ".", a=xml(BEE), b=xml(BEE))
    (tmp_path / "b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of them missing, the first b.jpg"):
        load(tmp_path)


def test_a_folder_without_annotations_is_refused_with_the_layouts(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^Expected data_dir/Annotations/\*.xml with .* \(no XML file there\)"):
        load(tmp_path)


def test_an_image_may_be_called_as_its_xml_file_says(tmp_path):
    said = "<annotation><filename>C:\\photos\\a.png</filename></annotation>"
    write_png(tmp_path / "a.png")
    (tmp_path / "0001.xml").write_text(said)
    write(tmp_path, ".", ".", b=xml(BEE))
    assert load(tmp_path).split_sizes == {"all": 2}
    (tmp_path / "0002.xml").write_text(said)
    with pytest.raises(ValueError, match=r"each image to have one file of annotations. Received: 2 in .*a.png"):
        load(tmp_path)


def test_accents_may_be_written_otherwise_than_those_of_the_image(tmp_path):
    stored, said = (unicodedata.normalize(form, "é") for form in ("NFD", "NFC"))
    write(tmp_path, "Annotations", "JPEGImages", **{stored: xml(BEE), "b": xml(BEE)})
    (tmp_path / "Annotations" / f"{stored}.xml").rename(tmp_path / "Annotations" / f"{said}.xml")
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    (tmp_path / "ImageSets/Main/train.txt").write_text(f"{stored}\n")
    assert [path.name for path in load(tmp_path).files_of("train")] == [f"{stored}.png"]


def test_an_empty_list_is_no_split(tmp_path):
    write(tmp_path, "Annotations", "JPEGImages", a=xml(BEE), b=xml(BEE))
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for name, stems in {"train": "a\n", "val": "b\n", "test": "\n"}.items():
        (lists / f"{name}.txt").write_text(stems)
    assert load(tmp_path).splits == {"train": 1, "val": 1}


def test_a_single_folder_that_is_not_called_like_a_split_is_meant_itself(tmp_path):
    write(tmp_path / "VOC2012", "Annotations", "JPEGImages", a=xml(BEE), b=xml(BEE))
    assert load(tmp_path).split_sizes == {"all": 2}
    (tmp_path / "VOC2012/ImageSets/Main").mkdir(parents=True)
    (tmp_path / "VOC2012/ImageSets/Main/train.txt").write_text("a\n")
    assert load(tmp_path).split_sizes == {"train": 1}


def test_what_other_programs_leave_beside_the_files_is_not_read(tmp_path):
    write(tmp_path, "Annotations", "JPEGImages", a=xml(BEE))
    (tmp_path / "Annotations" / "._a.xml").write_bytes(b"\0\5\x16\7\xff")
    assert load(tmp_path).split_sizes == {"all": 1}
