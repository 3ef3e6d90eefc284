import unicodedata

import numpy as np
import pytest

from ofar_tf.data.detection import load_detection_dataset

from .conftest import write_png

LINE = "1 0.5 0.25 0.2 0.1\n"


def load(folder):
    return load_detection_dataset("yolo_folder", data_dir=folder)


def write(folder, images, labels, names="classes.txt", **contents):
    for stem, content in contents.items():
        write_png(folder / images / f"{stem}.png")
        (folder / labels).mkdir(parents=True, exist_ok=True)
        if content is not None:
            (folder / labels / f"{stem}.txt").write_text(content)
    if names.endswith(".txt"):
        (folder / names).write_text("ant\nbee\n")
    return folder


def test_a_line_is_a_centre_and_sides_and_an_image_without_a_file_shows_nothing(tmp_path):
    write(tmp_path, "images", "labels", a=LINE, b=None, c="")
    known = load(tmp_path).annotations("all")
    np.testing.assert_allclose(known.boxes, [[0.2, 0.4, 0.3, 0.6]], rtol=1e-6)
    assert (sorted(known.counts), list(known.classes)) == ([0, 0, 1], [1])


def test_of_a_polygon_the_box_around_it_is_taken(tmp_path):
    write(tmp_path, ".", ".", a="0 0.1 0.5 0.3 0.2 0.6 0.4 0.2 0.8\n")
    np.testing.assert_allclose(load(tmp_path).annotations("all").boxes, [[0.2, 0.1, 0.8, 0.6]], rtol=1e-6)


@pytest.mark.parametrize(
    "line", ["1.0 0.5 0.25 0.2 0.1", "1.000e+00 5e-1 2.5e-1 2e-1 1e-1", "1 0.5 0.25 0.2 0.1 0.93", "\ufeff" + LINE]
)
def test_what_other_tools_write_means_the_same(tmp_path, line):
    write(tmp_path, "images", "labels", a=f"{line}\r\n")
    known = load(tmp_path).annotations("all")
    np.testing.assert_allclose(known.boxes, [[0.2, 0.4, 0.3, 0.6]], rtol=1e-6)
    assert list(known.classes) == [1]


def test_key_points_that_data_yaml_tells_of_are_no_polygon(tmp_path):
    write(tmp_path, "images", "labels", names="", a="0 0.5 0.25 0.2 0.1 0.05 0.9 2 0.9 0.05 2\n")
    (tmp_path / "data.yaml").write_text("names: [ant]\nkpt_shape: [2, 3]\n")
    np.testing.assert_allclose(load(tmp_path).annotations("all").boxes, [[0.2, 0.4, 0.3, 0.6]], rtol=1e-6)
    (tmp_path / "data.yaml").write_text("names: [ant]\nkpt_shape: all\n")
    with pytest.raises(ValueError, match="Expected kpt_shape as two whole numbers"):
        load(tmp_path)


def test_a_class_is_called_what_is_written_whatever_it_means_to_yaml(tmp_path):
    write(tmp_path, "images", "labels", names="", a=LINE)
    (tmp_path / "data.yaml").write_text("names:\n  0: no\n  1: 07\n")
    assert load(tmp_path).class_names == ("no", "07")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_mark_at_the_start_is_no_part_of_a_name(tmp_path, encoding):
    write(tmp_path, "images", "labels", a=LINE)
    (tmp_path / "classes.txt").write_text("ant\nbée\n", encoding=encoding)
    assert load(tmp_path).class_names == ("ant", "bée")


def test_names_in_another_encoding_are_refused_in_one_line(tmp_path):
    write(tmp_path, "images", "labels", a=LINE)
    (tmp_path / "classes.txt").write_text("bée\n", encoding="latin-1")
    with pytest.raises(ValueError, match=r"^Expected text in UTF-8 in .*classes.txt \(save it so\). .* at 1.$"):
        load(tmp_path)


def test_a_year_behind_a_split_is_left_out(tmp_path):
    write(tmp_path, "images/train2017", "labels/train2017", a=LINE)
    assert load(tmp_path).splits == {"train": 1}


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("images/{}", "labels/{}"),
        ("Images/{}", "Labels/{}"),
        ("{}/images", "{}/labels"),
        ("{}", "{}"),
    ],
)
def test_every_usual_layout_is_found(tmp_path, images, labels):
    write(tmp_path, images.format("train"), labels.format("train"), a=LINE, b=LINE)
    write(tmp_path, images.format("valid"), labels.format("valid"), c=LINE)
    assert load(tmp_path).splits == {"train": 2, "validation": 1}
    write(tmp_path, images.format("validation"), labels.format("validation"), d=LINE)
    with pytest.raises(ValueError, match=r"^Expected one folder for each split\. Received: .*valid.* and .*validation"):
        load(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["names: [ant, bee]\ntrain: ../nowhere\n", "nc: 2\nnames:\n  1: bee\n  0: ant\n", "names:\n- ant\n- bee\n"],
)
def test_names_are_read_from_data_yaml_and_its_paths_are_not(tmp_path, content):
    write(tmp_path, "images", "labels", names="", a=LINE)
    (tmp_path / "data.yaml").write_text(content)
    assert load(tmp_path).class_names == ("ant", "bee")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("2 0.5 0.5 0.1 0.1\n", "a class from 0 to 1 .* in .*a.txt. Received: line 1, '2 0.5"),
        ("-1 0.5 0.5 0.1 0.1\n", "line 1"),
        (LINE + "1 0.5 0.5 0.1\n", "line 2, '1 0.5 0.5 0.1'"),
        ("1 0.5 nan 0.1 0.1\n", "line 1"),
        ("1 0.5 x 0.1 0.1\n", "line 1"),
        ("1.5 0.5 0.5 0.1 0.1\n", "line 1"),
        ("1 20 15 10 10\n", "shares of the image.* line 1, '1 20 15 10 10'"),
        ("1 0.5 0.5 -0.1 0.1\n", "left before their right"),
    ],
)
def test_lines_that_make_no_sense_are_refused_in_one_line(tmp_path, content, message):
    write(tmp_path, "images", "labels", a=content)
    with pytest.raises(ValueError, match=message) as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


def test_boxes_beyond_the_edge_are_cut_with_a_count(tmp_path):
    write(tmp_path, "images", "labels", a="0 0.95 0.5 0.2 0.2\n")
    dataset = load(tmp_path)
    np.testing.assert_allclose(dataset.annotations("all").boxes, [[0.4, 0.85, 0.6, 1.0]], rtol=1e-6)
    assert "1 boxes of 'all' leave their images" in dataset.notes[0]


def test_a_text_file_without_an_image_is_refused(tmp_path):
    write(tmp_path, "images", "labels", a=LINE)
    (tmp_path / "labels" / "b.txt").write_text(LINE)
    with pytest.raises(FileNotFoundError, match=r"1 without one, the first b.txt"):
        load(tmp_path)


def test_two_images_for_one_text_file_are_refused(tmp_path):
    write(tmp_path, "images", "labels", a=LINE)
    write_png(tmp_path / "images" / "a.jpg")
    with pytest.raises(ValueError, match="differ in more than the suffix"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"), [("names: [ant", "Expected YAML"), ("names: {1: a}\n", "names as a list")]
)
def test_a_damaged_data_yaml_is_refused(tmp_path, content, message):
    write(tmp_path, "images", "labels", names="", a=LINE)
    (tmp_path / "data.yaml").write_text(content)
    with pytest.raises(ValueError, match=message):
        load(tmp_path)


def test_a_folder_without_names_or_without_images_is_refused(tmp_path):
    write(tmp_path, "images", "labels", names="", a=LINE)
    with pytest.raises(FileNotFoundError, match=r"\(no names of classes\)"):
        load(tmp_path)
    (tmp_path / "classes.txt").write_text("ant\nbee\n")
    (tmp_path / "images" / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"\(no images with text files\)"):
        load(tmp_path)


def test_lists_are_splits_where_no_folders_are_and_images_in_none_are_counted(tmp_path):
    write(tmp_path, "images", "labels", a=LINE, b=LINE, c=LINE)
    (tmp_path / "train.txt").write_text("C:\\data\\images\\a.png\n\n")
    (tmp_path / "val.txt").write_text("./images/b.png\n")
    (tmp_path / "test.txt").write_text("")
    dataset = load(tmp_path)
    assert dataset.split_sizes == {"train": 1, "val": 1}
    assert dataset.notes == ("1 images are in no list of a split and are not used.",)


def test_data_yaml_says_which_lists_are_splits(tmp_path):
    write(tmp_path, "images", "labels", names="", a=LINE, b=LINE, c=LINE)
    (tmp_path / "data.yaml").write_text("train: autosplit_1.txt\nval: /x/autosplit_2.txt\nnames: [ant, bee]\n")
    (tmp_path / "autosplit_1.txt").write_text("./images/a.png\n./images/c.png\n")
    (tmp_path / "autosplit_2.txt").write_text("./images/b.png\n")
    assert load(tmp_path).split_sizes == {"train": 2, "val": 1}


@pytest.mark.parametrize("name", ["autosplit_{}.txt", "my list of {} images.txt"])
def test_a_word_in_the_names_of_lists_says_splits_where_none_is_called_like_one(tmp_path, name):
    write(tmp_path, "images", "labels", a=LINE, b=LINE, c=LINE)
    (tmp_path / name.format("train")).write_text("./images/a.png\n./images/c.png\n")
    (tmp_path / name.format("val")).write_text("./images/b.png\n")
    (tmp_path / "train_loss.txt").write_text("0.5 0.4\n")
    assert load(tmp_path).split_sizes == {"train": 2, "val": 1}
    (tmp_path / "train.txt").write_text("./images/b.png\n")
    assert load(tmp_path).split_sizes == {"train": 1}


def test_several_lists_that_data_yaml_gives_to_a_split_are_the_split(tmp_path):
    write(tmp_path, "images", "labels", names="", a=LINE, b=LINE, c=LINE, d=LINE)
    (tmp_path / "data.yaml").write_text("train: [one.txt, two.txt]\nval: three.txt\nnames: [ant, bee]\n")
    for name, images in (("one", "ab"), ("two", "bc"), ("three", "d")):
        (tmp_path / f"{name}.txt").write_text("\n".join(f"images/{image}.png" for image in images))
    assert load(tmp_path).split_sizes == {"train": 3, "val": 1}


def test_a_list_of_images_that_are_not_there_is_refused(tmp_path):
    write(tmp_path, "images", "labels", a=LINE)
    (tmp_path / "train.txt").write_text("images/a.png\nimages/z.png\n")
    with pytest.raises(FileNotFoundError, match=r"1 of 2 without one, such as 'images/z.png'"):
        load(tmp_path)


def test_a_folder_of_another_name_is_the_split_that_data_yaml_gives_it_to(tmp_path):
    for name in ("first", "second", "third"):
        write(tmp_path, f"images/{name}", f"labels/{name}", names="", a=LINE)
    (tmp_path / "data.yaml").write_text("train: ../images/first\nval: [images/second]\nnames: [ant, bee]\n")
    assert list(load(tmp_path).split_sizes) == ["train", "val", "third"]


@pytest.mark.parametrize("layout", [("images/{}", "labels/{}"), ("{}/images", "{}/labels"), ("{}", "{}")])
@pytest.mark.parametrize("names", [("camera", "film", "phone"), ("train2012", "val2012", "test2007")])
def test_several_folders_that_data_yaml_gives_to_a_split_are_the_split(tmp_path, layout, names):
    # As those of VOC and GlobalWheat that Ultralytics' own files describe.
    for name in names:
        write(tmp_path, *(place.format(name) for place in layout), names="", a=LINE, b=None)
    first, second, third = (layout[0].format(name) for name in names)
    (tmp_path / "data.yaml").write_text(f"train: [{first}, {second}]\nval:\n  - {third}\nnames: [ant, bee]\n")
    dataset = load(tmp_path)
    assert dataset.split_sizes == {"test" if "test2007" in names else "val": 2, "train": 4}
    assert {path.relative_to(tmp_path).as_posix() for path in dataset.files_of("train")} == {
        f"{folder}/{stem}.png" for folder in (first, second) for stem in "ab"
    }
    assert sorted(dataset.annotations("train").counts.tolist()) == [0, 0, 1, 1]


@pytest.mark.parametrize(("images", "labels"), [("obj_train_data", "obj_train_data"), ("images/night", "labels/night")])
def test_a_single_folder_that_is_not_called_like_a_split_is_the_whole(tmp_path, images, labels):
    write(tmp_path, images, labels, a=LINE, b=LINE)
    assert load(tmp_path).split_sizes == {"all": 2}


def test_a_folder_around_the_data_set_does_no_harm(tmp_path):
    for split in ("train", "val"):
        write(tmp_path, f"cells/images/{split}", f"cells/labels/{split}", a=LINE)
    assert list(load(tmp_path).split_sizes) == ["train", "val"]


def test_images_and_text_files_may_lie_in_folders_below(tmp_path):
    write(tmp_path, "images/train", "labels/train", a=LINE)
    write(tmp_path, "images/train/night", "labels/train/night", a=LINE, b=None)
    known = load(tmp_path).annotations("train")
    assert sorted(known.counts) == [0, 1, 1]


def test_what_other_programs_leave_beside_the_files_is_not_read(tmp_path):
    write(tmp_path, "", "", a=LINE, b="")
    for name in ("._a.txt", "._data.yaml", "._a.png", ".ipynb_checkpoints/x.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\5\x16\7\xff")
    (tmp_path / "README.txt").write_text("Written by hand.\n")
    assert load(tmp_path).split_sizes == {"all": 2}


@pytest.mark.parametrize("name", ["coco.names", "_darknet.labels", "labels.txt", "labels/classes.txt"])
def test_names_are_read_from_a_list_whatever_tools_call_it(tmp_path, name):
    write(tmp_path, "cells/images/train", "cells/labels/train", names="", a=LINE)
    (tmp_path / "cells" / name).write_text("ant\nbee\n")
    assert load(tmp_path).class_names == ("ant", "bee")


def test_data_yaml_may_lie_in_the_folder_that_archives_unpack(tmp_path):
    write(tmp_path, "cells/valid/images", "cells/valid/labels", names="", a=LINE)
    (tmp_path / "cells/data.yaml").write_text("names: [ant, bee]\n")
    assert (load(tmp_path).class_names, load(tmp_path).split_sizes) == (("ant", "bee"), {"validation": 1})


def test_text_files_may_lie_in_a_folder_that_is_called_otherwise_for_the_same_split(tmp_path):
    write(tmp_path, "images/train", "labels/train", a=LINE)
    write(tmp_path, "images/validation", "labels/Valid", a=LINE)
    assert load(tmp_path).annotations("validation").counts.tolist() == [1]


def test_words_in_the_names_of_folders_say_splits_where_they_tell_all_apart(tmp_path):
    for name in ("obj_Train_data", "obj_valid_data"):
        write(tmp_path, name, name, a=LINE)
    assert load(tmp_path).split_sizes == {"train": 1, "validation": 1}
    write(tmp_path, "more_train", "more_train", a=LINE)
    assert list(load(tmp_path).split_sizes) == ["more_train", "obj_Train_data", "obj_valid_data"]


def test_lists_in_any_case_of_letters_are_splits(tmp_path):
    write(tmp_path, "images", "labels", a=LINE, b=LINE)
    (tmp_path / "Train.txt").write_text("data/images/a.png\n")
    (tmp_path / "Validation.txt").write_text("data/images/b.png\n")
    assert load(tmp_path).split_sizes == {"train": 1, "validation": 1}


def test_lists_say_splits_where_folders_say_others(tmp_path):
    for camera in ("one", "two"):
        write(tmp_path, f"images/{camera}", f"labels/{camera}", a=LINE, b="")
    (tmp_path / "train.txt").write_text("/home/ada/images/one/a.png\n/home/ada/images/two/b.png\n")
    (tmp_path / "val.txt").write_text("/home/ada/images/two/a.png\n")
    dataset = load(tmp_path)
    assert dataset.split_sizes == {"train": 2, "val": 1}
    assert dataset.files_of("val") == [tmp_path / "images/two/a.png"]


def test_a_run_in_the_folder_of_its_data_changes_nothing_of_these(tmp_path):
    write(tmp_path, "cells/images", "cells/labels", a=LINE, b=LINE)
    before = load(tmp_path).fingerprint
    for run in ("run", "runs/1"):
        write_png(tmp_path / run / "detections.png")
        (tmp_path / run / "run.flagfile").write_text("")
    assert load(tmp_path).fingerprint == before


def test_accents_and_suffixes_may_be_written_otherwise_than_those_of_the_image(tmp_path):
    write(tmp_path, "images", "labels", **{unicodedata.normalize("NFD", "é"): None, "b": None})
    (tmp_path / "labels").mkdir(exist_ok=True)
    (tmp_path / "labels" / unicodedata.normalize("NFC", "é.txt")).write_text(LINE)
    (tmp_path / "labels" / "b.TXT").write_text(LINE)
    assert load(tmp_path).annotations("all").counts.tolist() == [1, 1]


def test_lists_of_names_that_differ_are_refused(tmp_path):
    for split, names in (("train", "ant\nbee\n"), ("val", "bee\n")):
        write(tmp_path, f"images/{split}", f"labels/{split}", names="", a="0 0.5 0.25 0.2 0.1\n")
        (tmp_path / f"labels/{split}/classes.txt").write_text(names)
    with pytest.raises(ValueError, match=r"the same names of classes in every list. Received: others in .*val"):
        load(tmp_path)
