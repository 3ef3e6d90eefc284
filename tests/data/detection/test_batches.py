import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.data.detection import evaluation_batches, load_detection_dataset, training_batches
from ofar_tf.data.detection.annotations import Annotations
from ofar_tf.data.detection.dataset import DetectionDataset, first_rows
from ofar_tf.text.size import Size

from .conftest import write_png


@pytest.fixture(scope="module")
def mixed() -> DetectionDataset:
    """Images of every shape, brightness 10 times their number; image i has i boxes, in splits `train` and `test`."""
    shapes = {"train": [(8, 16), (16, 8), (8, 8), (4, 8), (10, 7)], "test": [(5, 5)]}
    sizes = {split: len(each) for split, each in shapes.items()}
    first = first_rows(sizes)

    def read(split, start, stop):
        def images():
            for index in range(start, stop):
                yield np.full((*shapes[split][index], 3), 10 * index, np.uint8), first[split] + index

        spec = (tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([], tf.int64))
        return tf.data.Dataset.from_generator(images, output_signature=spec)

    def annotations(split):
        counts = np.arange(sizes[split])
        total = counts.sum()
        return Annotations(
            image_ids=100 + counts,
            counts=counts,
            boxes=np.tile(np.array([[0.25, 0.5, 0.5, 1.0]], np.float32), (total, 1)),
            classes=np.repeat(counts, counts).astype(np.int32),
            crowd=np.zeros(total, bool),
            areas=np.full(total, -1, np.float32),
        )

    return DetectionDataset(
        "mixed", tuple("abcde"), sizes, read=read, decode=lambda image: image, annotations=annotations
    )


def test_an_image_lies_at_the_top_left_as_large_as_it_fits_and_boxes_follow(mixed):
    images, labels = next(iter(evaluation_batches(mixed, "train", batch_size=5, size=Size(16, 32))))
    assert (images.shape, images.dtype) == ((5, 16, 32, 3), tf.float32)
    # 8x16 and 4x8 fill the canvas; 16x8 keeps its size; 8x8 becomes 16x16; 10x7 becomes 16 x 11.2.
    np.testing.assert_allclose(labels["content"], [[1, 1], [1, 0.25], [1, 0.5], [1, 1], [1, 11 / 32]])
    np.testing.assert_array_equal(labels["image_size"], [[8, 16], [16, 8], [8, 8], [4, 8], [10, 7]])
    np.testing.assert_allclose(labels["boxes"][2, 0], [0.25, 0.25, 0.5, 0.5])
    np.testing.assert_allclose(images[2, :, :16], 20.0, atol=1e-4)
    np.testing.assert_array_equal(images[2, :, 16:], 0.0)
    # The area of a quarter of the height and half of the width of an image of 8x8 pixels.
    np.testing.assert_allclose(labels["area"][2, 0], 2 * 4)


def test_every_image_has_as_many_rows_as_any_has_boxes(mixed):
    for split in ("train", "test"):
        _, labels = next(iter(evaluation_batches(mixed, split, batch_size=9, size=Size(8, 8))))
        assert labels["boxes"].shape[1:] == (4, 4)
        np.testing.assert_array_equal(
            labels["classes"], [[i] * i + [-1] * (4 - i) for i in range(mixed.num_examples(split))]
        )
        np.testing.assert_array_equal(labels["image_id"], 100 + np.arange(mixed.num_examples(split)))
        assert not labels["boxes"].numpy()[labels["classes"].numpy() < 0].any()


def test_sums_of_slices_find_the_labels_of_their_images(mixed):
    _, labels = next(iter(evaluation_batches(mixed, "test+train[2:4]", batch_size=9, size=Size(8, 8))))
    np.testing.assert_array_equal(labels["image_id"], [100, 102, 103])
    np.testing.assert_array_equal((labels["classes"].numpy() >= 0).sum(1), [0, 2, 3])
    np.testing.assert_array_equal(mixed.class_counts("test+train[2:4]"), [0, 0, 2, 3, 0])


def contents(batches, count):
    return [(image.numpy(), {key: each.numpy() for key, each in label.items()}) for image, label in batches.take(count)]


def test_a_resumed_epoch_goes_on_with_the_very_batches(mixed):
    settings = {"batch_size": 2, "size": Size(8, 16), "seed": 3}
    whole = contents(training_batches(mixed, "train", **settings), 6)
    resumed = contents(training_batches(mixed, "train", start_epoch=1, start_step=1, **settings), 3)
    for (image, labels), (again, labels_again) in zip(whole[3:], resumed, strict=True):
        np.testing.assert_array_equal(image, again)
        for key, each in labels.items():
            np.testing.assert_array_equal(each, labels_again[key])
    assert [list(labels["image_id"]) for _, labels in whole[:2]] != [
        list(labels["image_id"]) for _, labels in whole[2:4]
    ]


def test_images_are_moved_as_bytes_where_that_is_asked_for(mixed):
    settings = {"batch_size": 4, "size": Size(8, 16), "seed": 3}
    ((images, labels),) = contents(training_batches(mixed, "train", **settings), 1)
    ((rounded, same),) = contents(training_batches(mixed, "train", as_bytes=True, **settings), 1)
    assert rounded.dtype == np.uint8
    np.testing.assert_array_equal(rounded, np.round(images))
    np.testing.assert_array_equal(labels["boxes"], same["boxes"])


def test_parts_of_a_batch_make_the_batch(mixed):
    settings = {"batch_size": 4, "size": Size(8, 16), "seed": 3}
    ((whole, _),) = contents(training_batches(mixed, "train", **settings), 1)
    parts = [contents(training_batches(mixed, "train", part=(i, 2), **settings), 1)[0][0] for i in range(2)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_the_bundled_scenes_hold_their_items_where_the_boxes_say():
    dataset = load_detection_dataset("fashion_mnist_scenes")
    assert dataset.splits == {"train": 800, "test": 200} and len(dataset.class_names) == 10
    images, labels = next(iter(evaluation_batches(dataset, "test", batch_size=50, size=Size(96, 128))))
    for image, boxes, classes in zip(images.numpy(), labels["boxes"].numpy(), labels["classes"].numpy(), strict=True):
        assert 1 <= (classes >= 0).sum() <= 4
        found = np.zeros(image.shape[:2], bool)
        for box in np.round(boxes[classes >= 0] * [96, 128, 96, 128]).astype(int):
            inside = image[box[0] : box[2], box[1] : box[3], 0] > 24
            assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
            found[box[0] : box[2], box[1] : box[3]] = True
        assert image[~found].max() <= 24
    assert dataset.class_counts("train").min() > 100


def test_the_bundled_scenes_are_the_same_on_every_machine():
    dataset = load_detection_dataset("fashion_mnist_scenes")
    assert dataset.fingerprint.splits["test"].startswith("28946b3699025cca")


@pytest.mark.parametrize("size", [Size(96, 128), Size(64, 64), Size(50, 200)])
def test_boxes_on_a_canvas_are_known_without_the_images(tmp_path, size):
    for name, height, width in (("0", 40, 80), ("1", 90, 30), ("2", 50, 50)):
        write_png(tmp_path / f"{name}.png", height=height, width=width)
        (tmp_path / f"{name}.txt").write_text("0 0.5 0.25 0.2 0.1\n" * (int(name) > 0) + "0 0.5 0.5 1 1\n")
    (tmp_path / "classes.txt").write_text("ant\n")
    folder = load_detection_dataset("yolo_folder", data_dir=tmp_path)
    for dataset, split in ((folder, "all[1:]"), (load_detection_dataset("fashion_mnist_scenes"), "test[5:9]")):
        ((_, labels),) = evaluation_batches(dataset, split, batch_size=9, size=size)
        # The images of a batch are of whole pixels.
        np.testing.assert_allclose(dataset.boxes_on(split, size), labels["boxes"][labels["classes"] >= 0], atol=0.011)


def test_images_of_unknown_sizes_are_taken_to_fill_a_canvas(mixed):
    np.testing.assert_array_equal(mixed.boxes_on("train", Size(50, 200)), mixed.known.boxes)
