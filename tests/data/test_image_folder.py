from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.data import load_dataset, split_notes
from ofar_tf.data.splits import shared_examples
from tests.data.image_files import values_and_labels, write_image


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


def test_every_format_that_tensorflow_decodes_is_read(tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    grey = np.full([6, 8, 4], (90, 90, 90, 120), np.uint8)
    for name, mode in {"a.bmp": "RGB", "b.BMP": "L", "c.gif": "L", "d.webp": "RGB", "e.webp": "RGBA"}.items():
        for folder in ("ant", "bee"):
            (tmp_path / folder).mkdir(exist_ok=True)
            image_module.fromarray(grey).convert(mode).save(tmp_path / folder / name, lossless=True)
    for image, _ in load_dataset("image_folder", data_dir=tmp_path).examples("all").as_numpy_iterator():
        np.testing.assert_array_equal(image, np.full([6, 8, 3], 90))


def test_what_tensorflow_would_show_wrongly_is_refused_by_name(plain):
    image_module = pytest.importorskip("PIL.Image")
    red, blue = (image_module.new("RGB", (8, 6), color) for color in ("red", "blue"))
    red.convert("P").save(plain / "ant" / "colors.bmp")
    with pytest.raises(
        ValueError, match=r"^Expected a readable image. Received: .*colors.bmp \(a BMP with a palette, "
    ):
        load_dataset("image_folder", data_dir=plain)
    (plain / "ant" / "colors.bmp").unlink()
    red.save(plain / "ant" / "moving.webp", save_all=True, append_images=[blue])
    with pytest.raises(ValueError, match=r"^Expected a readable image. Received: .*moving.webp \(a moving WebP, "):
        load_dataset("image_folder", data_dir=plain)


def test_an_image_folder_needs_a_folder():
    with pytest.raises(ValueError, match="data_dir=None"):
        load_dataset("image_folder")


def names_of(dataset, split):
    return [Path(record.decode()).name for record, _ in dataset.records(split).as_numpy_iterator()]


def test_a_folder_without_splits_is_divided_80_20(plain):
    dataset = load_dataset("image_folder", data_dir=plain)
    assert dataset.splits == {"all": 70, "train": 56, "validation": 14}
    for split, counts in (("train", [32, 16, 8]), ("validation", [8, 4, 2])):
        np.testing.assert_allclose(
            np.bincount([label for _, label in values_and_labels(dataset, split)]), counts, atol=1
        )
    assert names_of(dataset, "train") == names_of(dataset, "all[:80%]")
    assert names_of(dataset, "validation[:50%]") == names_of(dataset, "all[56:63]")
    assert "divided 80/20 into train (56 images) and validation (14 images)" in dataset.division
    assert str(plain) in dataset.division and "seed 0" in dataset.division


def test_the_division_is_another_with_another_seed_and_no_other_matters(plain, tmp_path_factory):
    divisions = [
        set(load_dataset("image_folder", data_dir=plain, split_seed=seed).records("validation").as_numpy_iterator())
        for seed in (0, 1, 1, 2)
    ]
    assert divisions[1] == divisions[2]
    assert len({frozenset(division) for division in divisions}) == 3


def test_the_parts_of_a_division_overlap_what_they_are_a_part_of(plain):
    dataset = load_dataset("image_folder", data_dir=plain)
    dataset.check_disjoint(train_split="train", eval_split="validation")
    dataset.check_disjoint(train_split="all[:80%]", eval_split="validation")
    with pytest.raises(ValueError, match=r"train_split='all' and eval_split='validation', which share 14.$"):
        dataset.check_disjoint(train_split="all", eval_split="validation")
    with pytest.raises(ValueError, match=r"which share 4.$"):
        dataset.check_disjoint(train_split="train", eval_split="all[52:60]")


@pytest.mark.parametrize(("counts", "training"), [((1, 1), None), ((2, 2), 3), ((1, 1, 1, 1, 1), None), ((9, 1), 8)])
def test_every_class_is_trained_or_the_folder_is_not_divided(tmp_path, counts, training):
    for label, count in enumerate(counts):
        for index in range(count):
            write_image(tmp_path / f"class{label}" / f"{index}.png")
    dataset = load_dataset("image_folder", data_dir=tmp_path)
    assert dataset.splits.get("train") == training
    if training:
        assert {label for _, label in values_and_labels(dataset, "train")} == set(range(len(counts)))


def test_a_folder_of_splits_is_not_divided(tmp_path):
    for split in ("train", "val"):
        for name in ("ant", "bee"):
            write_image(tmp_path / split / name / "0.png")
    assert load_dataset("image_folder", data_dir=tmp_path).splits == {"train": 2, "val": 2}


def test_labels_and_paths_are_read_at_once(plain):
    dataset = load_dataset("image_folder", data_dir=plain)
    paths, labels = dataset.table("all", 10, 60)
    assert list(zip(paths.numpy(), labels.numpy(), strict=True)) == list(
        dataset.records("all[10:60]").as_numpy_iterator()
    )


def test_a_photo_is_seen_as_its_orientation_says(tmp_path):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30] = 255
    encoded = tf.io.encode_jpeg(pixels).numpy()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # 6: turn it to the right.
    turned = encoded[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + encoded[2:]
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "photo.jpg").write_bytes(turned)
    image, _ = next(load_dataset("image_folder", data_dir=tmp_path).examples("all").as_numpy_iterator())
    assert image.shape == (60, 40, 3)
    assert (image[:28].min(), image[32:].max()) > (240, -1) and image[32:].max() < 10


def write_deep(path: Path, greatest: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tf.io.encode_png(np.array([[[0], [greatest]]], np.uint16)).numpy())


def test_deep_images_of_a_folder_are_scaled_alike_and_that_is_said(tmp_path):
    write_deep(tmp_path / "ant" / "bright.png", 4000)
    write_deep(tmp_path / "bee" / "dark.png", 500)
    dataset = load_dataset("image_folder", data_dir=tmp_path)
    greatest = {int(label): int(image.max()) for image, label in dataset.examples("all").as_numpy_iterator()}
    assert greatest == {0: 4000 >> 4, 1: 500 >> 4} and dataset.depth == 12
    assert dataset.notes == (
        f"The 16-bit PNG files in {tmp_path} hold values of at most 12 bits, and are read as such.",
    )


def test_full_16_bit_images_are_nothing_to_speak_of(tmp_path, plain):
    write_deep(tmp_path / "ant" / "bright.png", 65_535)
    dataset = load_dataset("image_folder", data_dir=tmp_path)
    assert dataset.notes == () and dataset.depth == 16


def test_a_class_may_lack_images_in_one_of_the_splits(tmp_path):
    for value, path in enumerate(("train/ant/0.png", "train/bee/0.png", "val/ant/0.png")):
        write_image(tmp_path / path, value)
    (tmp_path / "val" / "bee").mkdir()
    dataset = load_dataset("image_folder", data_dir=tmp_path)
    assert dict(dataset.split_sizes) == {"train": 2, "val": 1}
    assert split_notes(dataset, train_split="train", eval_split="val") == [
        "1 of 2 classes have no evaluation image in 'val': bee."
    ]


def test_splits_go_by_their_usual_names_too_and_that_is_said(tmp_path):
    for first, split in enumerate(("Training", "Validation", "test")):
        for value, name in enumerate(("ant", "bee")):
            write_image(tmp_path / split / name / "0.png", 2 * first + value)
    dataset = load_dataset("image_folder", data_dir=tmp_path)
    assert dataset.splits == dict.fromkeys(("Training", "Validation", "test", "train", "validation"), 2)
    assert sorted(values_and_labels(dataset, "train")) == [(0, 0), (1, 1)]
    assert shared_examples(dataset.parts("train"), dataset.parts("Training")) == 2
    assert split_notes(dataset, train_split="Training", eval_split="test") == []
    assert split_notes(dataset, train_split="train", eval_split="test") == [
        "Folders of splits by their usual names: Training is 'train', Validation is 'validation'."
    ]


def test_two_folders_of_one_usual_name_keep_their_own(tmp_path):
    for path in ("Train/ant/0.png", "Train/bee/0.png", "training/ant/0.png", "training/bee/0.png"):
        write_image(tmp_path / path)
    assert set(load_dataset("image_folder", data_dir=tmp_path).splits) == {"Train", "training"}


def test_the_only_folder_of_a_folder_is_divided_as_if_it_were_named(plain, tmp_path_factory):
    outer = tmp_path_factory.mktemp("outer")
    (outer / "photographs").symlink_to(plain)
    dataset = load_dataset("image_folder", data_dir=outer)
    assert dataset.splits == {"photographs": 70, "train": 56, "validation": 14}
    assert "divided 80/20" in split_notes(dataset, train_split="train", eval_split="validation")[0]
