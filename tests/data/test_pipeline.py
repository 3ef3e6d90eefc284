import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.data import Augmentation, ImageDataset, epoch_order, load_dataset, training_batches
from tests.data.counting_set import SIZE, assert_equal_batches, batches, counting_set, of_unknown_size, values


def ten_classes():
    return dataclasses.replace(counting_set()[0], name="ten", class_names=tuple("abcdefghij"))


def test_a_batch_holds_images_and_their_labels():
    stream = training_batches(
        counting_set()[0], "train", batch_size=4, resolution=6, augmentation=Augmentation("pad_and_crop"), seed=0
    )
    assert stream.element_spec == (tf.TensorSpec([4, 6, 6, 3], tf.float32), tf.TensorSpec([4], tf.int64))
    for images, labels in batches(5):
        np.testing.assert_array_equal(images[:, 0, 0, 0] % 2, labels)


@pytest.mark.parametrize("keywords", [{"augmentation": "pad_and_crop"}, {"mixup_alpha": 0.4}])
def test_bytes_are_the_same_images_rounded(keywords):
    for (images, labels), (rounded, same_labels) in zip(
        batches(3, **keywords), batches(3, as_bytes=True, **keywords), strict=True
    ):
        assert (images.dtype, rounded.dtype) == (np.float32, np.uint8)
        np.testing.assert_array_equal(rounded, np.round(images))
        np.testing.assert_array_equal(same_labels, labels)


@pytest.fixture
def shuffle_buffer(monkeypatch):
    """Returns what makes every split a large one, of which so many records are shuffled together."""

    def buffer(records):
        monkeypatch.setattr(epoch_order, "_SMALL_SPLIT", 0)
        monkeypatch.setattr(epoch_order, "_LARGE_SPLIT_BUFFER", records)

    return buffer


@pytest.mark.parametrize("large", [False, True])
def test_a_run_resumed_at_epoch_3_sees_the_batches_of_one_never_interrupted(large, shuffle_buffer):
    if large:
        shuffle_buffer(5)
    keywords = {"augmentation": "pad_and_crop", "flip": True}
    assert_equal_batches(batches(25, **keywords)[15:], batches(10, start_epoch=3, **keywords))


def test_a_resumed_run_draws_the_same_random_crops():
    dataset = load_dataset("fashion_mnist_mini")
    keywords = {"dataset": dataset, "split": "train[:64]", "batch_size": 16, "resolution": 20, "flip": True}
    keywords |= {"augmentation": "random_resized_crop"}
    whole = batches(20, **keywords)
    assert_equal_batches(whole[16:], batches(4, start_epoch=4, **keywords))
    assert not np.array_equal(whole[0][0], whole[4][0])


def test_the_same_example_gets_another_view_in_another_epoch():
    dataset = load_dataset("fashion_mnist_mini")
    keywords = {
        "dataset": dataset,
        "split": "train[:1]",
        "batch_size": 1,
        "resolution": 28,
        "augmentation": "pad_and_crop",
    }
    views = [images.tobytes() for images, _ in batches(6, **keywords)]
    assert len(set(views)) > 3


def test_the_parts_of_a_batch_make_up_the_batch():
    whole = batches(10)
    parts = [batches(10, part=(number, 2)) for number in range(2)]
    joined = [tuple(np.concatenate(pair) for pair in zip(*halves, strict=True)) for halves in zip(*parts, strict=True)]
    assert_equal_batches(whole, joined)


def test_a_part_decodes_no_image_of_the_others(shuffle_buffer):
    shuffle_buffer(1)  # Keeps the order.
    dataset, _ = counting_set()
    decoded = tf.Variable(tf.zeros([SIZE], tf.int32))

    def decode(index):
        decoded.scatter_nd_update([[index]], [1])
        return dataset.decode(index)

    watched = dataclasses.replace(dataset, decode=decode)
    batches(5, dataset=watched, part=(1, 2))
    assert set(np.flatnonzero(decoded.numpy())) == {index for index in range(20) if index % 4 in (2, 3)}


@pytest.mark.parametrize("hidden", [False, True])
def test_every_image_gets_the_view_of_its_own_seed(hidden, shuffle_buffer):
    shuffle_buffer(1)  # Keeps the order.
    plain = dataclasses.replace(load_dataset("fashion_mnist_mini"), table=None)
    shown = batches(
        6,
        dataset=of_unknown_size(plain) if hidden else plain,
        split="train[:10]",
        resolution=28,
        augmentation="pad_and_crop",
        flip=True,
        seed=9,
    )
    examples = list(plain.examples("train[:10]"))
    for number, (images, labels) in enumerate(shown):
        epoch, first = number // 2, number % 2 * 4
        for place, (image, label) in enumerate(examples[first : first + 4]):
            seed = tf.constant([9, 10 * epoch + first + place], tf.int64)
            view = Augmentation("pad_and_crop", flip=True).view(image, seed, resolution=28)
            np.testing.assert_array_equal(images[place], view)
            assert labels[place] == label


@pytest.mark.parametrize(
    "keywords",
    [
        {"augmentation": "pad_and_crop", "part": (1, 2)},
        {"augmentation": "pad_and_crop", "resolution": 20},
        {"augmentation": "random_resized_crop", "color_jitter": 0.4, "rand_augment_layers": 2, "mixup_alpha": 1.0},
    ],
)
def test_a_batch_viewed_in_one_call_is_the_batch_viewed_image_by_image(keywords):
    dataset = load_dataset("fashion_mnist_mini")
    keywords = {"split": "train[:24]", "batch_size": 8, "resolution": 28, "flip": True} | keywords
    assert_equal_batches(
        batches(6, dataset=dataset, **keywords), batches(6, dataset=of_unknown_size(dataset), **keywords)
    )


def test_images_kept_as_arrays_of_different_sizes_are_batched():
    images = [np.full([side, 9 - side, 3], side, np.uint8) for side in range(2, 8)]

    def read(split, start, stop):
        signature = (tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([], tf.int64))
        return tf.data.Dataset.from_generator(
            lambda: ((images[index], index % 2) for index in range(start, stop)), output_signature=signature
        )

    dataset = ImageDataset("arrays", ("even", "odd"), {"train": 6}, read, tf.identity)
    for number in range(4):
        epoch = batches(2, dataset=dataset, batch_size=3, start_epoch=number)
        assert sorted(values(epoch)) == list(range(2, 8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"batch_size": 23},
            "Expected a batch size from 1 to the 22 examples of 'train'. Received: batch_size=23.",
        ),
        ({"batch_size": 0}, "Received: batch_size=0."),
        ({"resolution": 0}, "Expected a resolution of at least 1 pixel. Received: resolution=0."),
        ({"augmentation": "mixup"}, "Expected an augmentation out of none, .* Received: augmentation='mixup'."),
        ({"crop_scale": (0.0, 1.0)}, r"Received: crop_scale=\(0.0, 1.0\)."),
        ({"start_epoch": -1}, "Expected start_epoch of at least 0. Received: start_epoch=-1."),
        ({"color_jitter": -0.1}, "Expected color_jitter from 0 to 1. Received: color_jitter=-0.1."),
        ({"mixup_alpha": -1.0}, "Expected a mixup_alpha of 0 or more. Received: mixup_alpha=-1.0."),
        ({"dataset": ten_classes(), "classes": 9}, "Expected at least the 10 classes of ten. Received: classes=9."),
        ({"part": (2, 2)}, r"Expected one of n equal parts of 4 images, as \(i, n\). Received: part=\(2, 2\)."),
        ({"part": (0, 3)}, r"Received: part=\(0, 3\)."),
        ({"split": "valid"}, "Expected one of the splits train, test. Received: split='valid'."),
    ],
)
def test_training_on_nonsense_is_refused_on_one_line(arguments, message):
    with pytest.raises(ValueError, match=f"{message}$") as error:
        batches(1, **arguments)
    assert "\n" not in str(error.value)
