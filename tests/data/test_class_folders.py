import os
import socket
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.data import load_dataset
from tests.data.image_files import values_and_labels, write_image


def test_hidden_files_and_notes_beside_the_classes_are_ignored(plain):
    (plain / "ant" / ".DS_Store").write_bytes(b"x")
    (plain / "README.txt").write_text("notes")
    assert load_dataset("image_folder", data_dir=plain).num_examples("all") == 70


def test_what_systems_leave_in_folders_of_pictures_is_ignored(plain, one_png):
    for name in ("ant/Thumbs.db", "bee/desktop.ini", "__MACOSX/ant/._000.png", "bee/@eaDir/000.png"):
        (plain / name).parent.mkdir(parents=True, exist_ok=True)
        (plain / name).write_bytes(one_png)
    found = load_dataset("image_folder", data_dir=plain)
    assert (found.class_names, found.num_examples("all")) == (("ant", "bee", "cat"), 70)


def test_other_files_in_a_class_are_refused_by_name(plain):
    (plain / "bee" / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=r"^Expected only images .* Received: .*bee/notes.txt.$"):
        load_dataset("image_folder", data_dir=plain)


def test_splits_with_different_classes_are_refused(tmp_path):
    for path in ("train/ant/0.png", "train/bee/0.png", "val/ant/0.png", "val/bees/0.png"):
        write_image(tmp_path / path)
    message = (
        r"Expected the same class folders in every split .* Received: no bee in .*/val, and no bees in .*/train\.$"
    )
    with pytest.raises(ValueError, match=message):
        load_dataset("image_folder", data_dir=tmp_path)


@pytest.mark.parametrize("other", ["Ko\u0308ln", "k\u00f6ln", "K\u00f6ln "], ids=["accents", "case", "blank"])
def test_names_that_look_alike_in_two_splits_are_shown_as_they_differ(tmp_path, other):
    for path in ("train/ant/0.png", "train/K\u00f6ln/0.png", "val/ant/0.png", f"val/{other}/0.png"):
        write_image(tmp_path / path)
    with pytest.raises(ValueError, match="more than case, blanks and invisible") as error:
        load_dataset("image_folder", data_dir=tmp_path)
    assert ascii(other) in str(error.value) and ascii("K\u00f6ln") in str(error.value)


@pytest.mark.parametrize("splits", [("train", "test"), ("Training", "val2017", "test")])
def test_splits_of_images_whose_labels_lie_in_a_table_are_no_classes(tmp_path, splits):
    for split in splits:
        write_image(tmp_path / split / "0.png")
    (tmp_path / "train.csv").write_text("0.png,ant\n")
    with pytest.raises(ValueError, match=r"^Expected images as .*Received: images right in .*, and no class but .*\.$"):
        load_dataset("image_folder", data_dir=tmp_path)


def test_a_class_may_be_called_as_a_split_is(tmp_path):
    for name in ("train", "bus"):
        write_image(tmp_path / name / "0.png")
    assert load_dataset("image_folder", data_dir=tmp_path).class_names == ("bus", "train")


def test_a_single_class_is_refused(tmp_path):
    write_image(tmp_path / "ant" / "0.png")
    with pytest.raises(ValueError, match=r"Expected two or more distinct class names"):
        load_dataset("image_folder", data_dir=tmp_path)


@pytest.mark.parametrize("folders", [[], ["ant"], ["train/ant", "train/bee"]])
def test_a_folder_without_images_is_refused_with_the_layouts(tmp_path, folders):
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"^Expected images as data_dir/<split>/<class>/\*.jpg or .*no image"):
        load_dataset("image_folder", data_dir=tmp_path)


def test_images_that_no_folder_gives_a_class_are_no_missing_images(tmp_path):
    write_image(tmp_path / "0.png")
    (tmp_path / "labels.csv").write_text("0.png,ant\n")
    with pytest.raises(FileNotFoundError, match=r"^Expected images as .* Received: .* \(images of no class, right in"):
        load_dataset("image_folder", data_dir=tmp_path)


def test_a_missing_folder_is_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Received: data_dir=.*/nowhere \(not a folder\)"):
        load_dataset("image_folder", data_dir=tmp_path / "nowhere")


def folder_with(path: Path, *names: bytes) -> None:
    """Makes a folder of two classes, and a file or a folder of each further name."""
    for name in ("ant", "bee"):
        write_image(path / name / "0.png")
    for name in names:
        file = path / os.fsdecode(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(tf.io.encode_png(np.zeros((2, 2, 3), np.uint8)).numpy())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (b"wasp\nnest/0.png", r"Received: class name 'wasp\nnest' (with a control character)."),
        ("wasp\u2028nest/0.png".encode(), r"Received: class name 'wasp\u2028nest' (with a line separator)."),
        (b"  /0.png", "Received: class name '  ' (blank)."),
        (b"caf\xe9/0.png", r"caf\xe9 (café in Latin-1)."),
        (b"caf\xe9/ant/0.png", r"caf\xe9 (café in Latin-1)."),
        (b"Ant/0.png", "Received: 'Ant' and 'ant'."),
        (b"bee/caf\xe9.png", r"bee/caf\xe9.png (café.png in Latin-1)."),
        (b"bee/caf\xe9.txt", r"bee/caf\xe9.txt (café.txt in Latin-1)."),
    ],
)
def test_names_that_nothing_could_write_are_refused_in_one_printable_line(tmp_path, name, message):
    folder_with(tmp_path, name)
    with pytest.raises(ValueError, match=r"Expected ") as error:
        load_dataset("image_folder", data_dir=tmp_path)
    assert str(error.value).endswith(message)
    assert str(error.value).isprintable()


def test_a_class_without_images_is_refused_by_name(plain):
    (plain / "dog").mkdir()
    with pytest.raises(ValueError, match=r"Expected images in the folder of every class .*: .*/dog, which is empty.$"):
        load_dataset("image_folder", data_dir=plain)


def make_fifo(path):
    os.mkfifo(path)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (make_fifo, r"0000.jpg \(a FIFO\)\.$"),
        (make_socket, r"0000.jpg \(a socket\)\.$"),
        (lambda path: path.symlink_to("/dev/zero"), r"0000.jpg \(a device\)\.$"),
        (lambda path: path.mkdir(), r"0000.jpg \(a folder\)\.$"),
        (lambda path: path.symlink_to("nowhere.jpg"), r"0000.jpg \(No such file or directory\)\.$"),
        (lambda path: path.symlink_to("0000.jpg"), r"0000.jpg \(Too many levels of symbolic links\)\.$"),
    ],
)
@pytest.mark.parametrize("alone", [False, True])
def test_what_is_no_regular_file_is_refused_and_never_opened(tmp_path, monkeypatch, make, message, alone):
    write_image(tmp_path / "ant" / "0.jpg")
    write_image(tmp_path / "bee" / "0.jpg")
    monkeypatch.chdir(tmp_path)
    if alone:
        (tmp_path / "bee" / "0.jpg").unlink()
    make(tmp_path / "bee" / "0000.jpg")
    with pytest.raises(ValueError, match=message):
        load_dataset("image_folder", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("link", "target", "message"),
    [
        ("cow", "cow", "cow, a link that leads nowhere or to itself.$"),
        ("cow", "gone", "cow, a link that leads nowhere or to itself.$"),
        ("cow", "bee", r"Expected a folder of its own for each split and class. Received: .*bee and .*cow, which are"),
        ("loop", ".", r"Expected a folder of its own for each split and class. Received: .* and .*loop, which are"),
    ],
)
def test_links_that_make_one_folder_two_are_refused(plain, link, target, message):
    (plain / link).symlink_to(target)
    with pytest.raises(ValueError, match=message):
        load_dataset("image_folder", data_dir=plain)


def test_splits_that_are_one_folder_are_refused(tmp_path):
    for name in ("ant", "bee"):
        write_image(tmp_path / "train" / name / "0.png")
    (tmp_path / "val").symlink_to("train")
    with pytest.raises(ValueError, match=r"Expected a folder of its own for each split and class"):
        load_dataset("image_folder", data_dir=tmp_path)


def test_links_to_images_and_folders_elsewhere_are_followed(plain, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write_image(elsewhere / "dogs" / "0.png")
    (plain / "dog").symlink_to(elsewhere / "dogs")
    (plain / "ant" / "linked.png").symlink_to(elsewhere / "dogs" / "0.png")
    assert load_dataset("image_folder", data_dir=plain).num_examples("all") == 72


def test_a_split_whose_images_have_no_class_is_named(tmp_path):
    write_image(tmp_path / "train" / "ant" / "0.png")
    write_image(tmp_path / "train" / "bee" / "0.png")
    write_image(tmp_path / "test" / "0.png")
    with pytest.raises(ValueError, match=r"images right in .*/test, and .*/train/ant.$"):
        load_dataset("image_folder", data_dir=tmp_path)


def test_a_data_set_that_lies_a_folder_deeper_is_found(tmp_path):
    for split in ("train", "val"):
        write_image(tmp_path / "pets" / split / "ant" / "0.png")
    with pytest.raises(ValueError, match=r"try --data_dir=.*/pets.$"):
        load_dataset("image_folder", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("paths", "classes"),
    [
        (("ant/a/0.png", "ant/b/c/1.png", "bee/d/2.png"), ("ant", "bee")),
        (("ant/0.png", "ant/b/1.png", "bee/2.png"), ("ant", "bee")),
        (("ant/0.png", "ant/1.png", "bee/b/2.png"), ("ant", "bee")),
        (("ant/photos/0.png", "ant/photos/1.png", "bee/photos/2.png"), ("ant", "bee")),
        (("train/ant/0.png", "train/ant/b/1.png", "train/bee/c/2.png"), ("ant", "bee")),
    ],
)
def test_images_in_folders_within_a_class_are_its_own_and_that_is_said(tmp_path, paths, classes):
    for value, path in enumerate(paths):
        write_image(tmp_path / path, value)
    dataset = load_dataset("image_folder", data_dir=tmp_path)
    assert dataset.class_names == classes
    (split,) = dataset.split_sizes
    assert sorted(values_and_labels(dataset, split)) == [(0, 0), (1, 0), (2, 1)]
    assert [note.startswith("Images in folders within those of classes are used as well: ") for note in dataset.notes]


def test_a_link_to_a_folder_within_a_class_is_refused_so_that_no_loop_is_followed(plain):
    (plain / "ant" / "loop").symlink_to(plain)
    with pytest.raises(ValueError, match=r"ant/loop \(a folder\)\.$"):
        load_dataset("image_folder", data_dir=plain)


def test_folders_that_share_some_names_are_splits_and_not_classes(tmp_path):
    for path in ("one/ant/0.png", "one/bee/0.png", "two/ant/0.png"):
        write_image(tmp_path / path)
    with pytest.raises(ValueError, match=r"Expected the same class folders .* Received: no bee in .*/two\.$"):
        load_dataset("image_folder", data_dir=tmp_path)


def test_a_folder_without_images_names_a_file_that_is_none(tmp_path):
    (tmp_path / "ant").mkdir()
    (tmp_path / "ant" / "0.tif").write_bytes(b"II*")
    with pytest.raises(FileNotFoundError, match=r"\(no images there, .*/ant/0.tif for instance is none\)\.$"):
        load_dataset("image_folder", data_dir=tmp_path)
