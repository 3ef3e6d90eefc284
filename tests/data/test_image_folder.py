from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.data import load_dataset


def write_image(path: Path, value: int = 0, *, channels: int = 3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = tf.fill([6, 8, channels], tf.cast(value, tf.uint8))
    encode = tf.io.encode_png if path.suffix.lower() == ".png" else tf.io.encode_jpeg
    path.write_bytes(encode(pixels).numpy())


@pytest.fixture
def plain(tmp_path) -> Path:
    """Three classes of 40, 20 and 10 images; the images of class k have the grey value 100 k."""
    for label, (name, count) in enumerate([("ant", 40), ("bee", 20), ("cat", 10)]):
        for index in range(count):
            write_image(tmp_path / name / f"{index:03}.png", 100 * label)
    return tmp_path


def values_and_labels(dataset, split):
    return [(int(image[0, 0, 0]), int(label)) for image, label in dataset.examples(split).as_numpy_iterator()]


def test_a_folder_of_classes_has_one_split(plain):
    dataset = load_dataset("image_folder", data_dir=plain)
    assert dataset.class_names == ("ant", "bee", "cat")
    assert dict(dataset.split_sizes) == {"all": 70}
    image, label = next(dataset.examples("all").as_numpy_iterator())
    assert (image.shape, image.dtype, label.dtype) == ((6, 8, 3), np.uint8, np.int64)


def test_images_carry_the_label_of_their_folder(plain):
    pairs = values_and_labels(load_dataset("image_folder", data_dir=plain), "all")
    assert sorted(pairs) == [(0, 0)] * 40 + [(100, 1)] * 20 + [(200, 2)] * 10


def test_every_prefix_holds_each_class_in_proportion(plain):
    labels = [label for _, label in values_and_labels(load_dataset("image_folder", data_dir=plain), "all")]
    for stop in range(1, 71):
        counts = np.bincount(labels[:stop], minlength=3)
        np.testing.assert_allclose(counts, np.array([40, 20, 10]) * stop / 70, atol=1.0)


def test_the_order_depends_on_names_only_and_is_scattered(plain, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for path in sorted(plain.rglob("*.png"), reverse=True):
        write_image(elsewhere / path.relative_to(plain))
    orders = []
    for folder in (plain, elsewhere):
        records = load_dataset("image_folder", data_dir=folder).records("all").as_numpy_iterator()
        orders.append([Path(record.decode()).relative_to(folder) for record, _ in records])
    assert orders[0] == orders[1]
    ants = [path for path in orders[0] if path.parent.name == "ant"]
    assert sorted(ants) != ants


def test_the_two_sides_of_a_cut_are_disjoint(plain):
    dataset = load_dataset("image_folder", data_dir=plain)
    left, right = (
        {record for record, _ in dataset.records(split).as_numpy_iterator()} for split in ("all[:80%]", "all[80%:]")
    )
    assert (len(left), len(right), len(left & right)) == (56, 14, 0)


def test_folders_of_splits_are_splits(tmp_path):
    for split, count in [("train", 3), ("val", 2)]:
        for name in ("ant", "bee"):
            for index in range(count):
                write_image(tmp_path / split / name / f"{index}.jpg")
    dataset = load_dataset("image_folder", data_dir=tmp_path)
    assert dataset.class_names == ("ant", "bee")
    assert dict(dataset.split_sizes) == {"train": 6, "val": 4}
    assert {path.decode().split("/")[-3] for path, _ in dataset.records("val").as_numpy_iterator()} == {"val"}


def test_grey_and_transparent_images_become_rgb(tmp_path):
    write_image(tmp_path / "ant" / "grey.PNG", 7, channels=1)
    write_image(tmp_path / "bee" / "alpha.png", 9, channels=4)
    write_image(tmp_path / "bee" / "grey.jpeg", 9, channels=1)
    for image, label in load_dataset("image_folder", data_dir=tmp_path).examples("all").as_numpy_iterator():
        np.testing.assert_array_equal(image, np.full([6, 8, 3], [7, 9][label]))


def test_hidden_files_and_notes_beside_the_classes_are_ignored(plain):
    (plain / "ant" / ".DS_Store").write_bytes(b"x")
    (plain / "README.txt").write_text("notes")
    assert load_dataset("image_folder", data_dir=plain).num_examples("all") == 70


def test_bytes_after_the_end_of_a_readable_image_do_no_harm(plain):
    with (plain / "ant" / "000.png").open("ab") as file:
        file.write(b"trailing")
    assert load_dataset("image_folder", data_dir=plain).num_examples("all") == 70


def test_other_files_in_a_class_are_refused_by_name(plain):
    (plain / "bee" / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=r"^Expected only .jpg, .jpeg and .png .* Received: .*bee/notes.txt.$"):
        load_dataset("image_folder", data_dir=plain)


@pytest.mark.parametrize("content", [b"", b"not an image", b"<html></html>" * 100], ids=["empty", "text", "html"])
def test_a_file_that_is_no_image_is_refused_by_name(plain, content):
    (plain / "cat" / "broken.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=r"^Expected a readable JPEG or PNG image. Received: .*cat/broken.jpg \("):
        load_dataset("image_folder", data_dir=plain)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_truncated_image_is_refused_by_name(plain, suffix):
    path = plain / "cat" / f"broken.{suffix}"
    write_image(path, 50)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=f"Received: .*cat/broken.{suffix}"):
        load_dataset("image_folder", data_dir=plain)


def test_splits_with_different_classes_are_refused(tmp_path):
    for path in ("train/ant/0.png", "train/bee/0.png", "val/ant/0.png", "val/bees/0.png"):
        write_image(tmp_path / path)
    with pytest.raises(
        ValueError, match=r"Expected the same class folders in every split. Received: bee, bees only in"
    ):
        load_dataset("image_folder", data_dir=tmp_path)


def test_a_single_class_is_refused(tmp_path):
    write_image(tmp_path / "ant" / "0.png")
    with pytest.raises(ValueError, match="Expected two or more distinct class names"):
        load_dataset("image_folder", data_dir=tmp_path)


@pytest.mark.parametrize("folders", [[], ["ant"], ["train/ant", "train/bee"]])
def test_a_folder_without_images_is_refused_with_the_layouts(tmp_path, folders):
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"^Expected images as data_dir/<split>/<class>/\*.jpg or .*no image"):
        load_dataset("image_folder", data_dir=tmp_path)


def test_a_missing_folder_is_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Received: data_dir=.*/nowhere \(not a folder\)"):
        load_dataset("image_folder", data_dir=tmp_path / "nowhere")


def test_an_image_folder_needs_a_folder():
    with pytest.raises(ValueError, match="data_dir=None"):
        load_dataset("image_folder")
