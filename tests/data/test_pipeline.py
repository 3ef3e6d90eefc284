import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.data import (
    Augmentation,
    ImageDataset,
    Mixing,
    epoch_order,
    evaluation_batches,
    load_dataset,
    steps_per_epoch,
    training_batches,
)

SIZE = 22


def counting_set(size: int = SIZE) -> tuple[ImageDataset, tf.Variable]:
    """A data set of 4x4 images; image k has the value k and the label k % 2. The variable counts the records read."""
    reads = tf.Variable(0)

    def read(split, start, stop):
        def counted(index):
            reads.assign_add(1)
            return index, index % 2

        return tf.data.Dataset.range(start, stop).map(counted)

    def decode(index):
        return tf.fill([4, 4, 3], tf.cast(index, tf.uint8))

    return ImageDataset("counting", ("even", "odd"), {"train": size, "test": 7}, read, decode), reads


def batches(count, *, dataset=None, split="train", **arguments):
    """The first batches; arguments are also the fields of `Augmentation` and of `Mixing`."""
    dataset = dataset or counting_set()[0]
    settings = {"batch_size": 4, "resolution": 4, "augmentation": "none", "seed": 1} | arguments

    def taken(kind):
        names = (field.name for field in dataclasses.fields(kind))
        return {name: settings.pop(name) for name in names if name in settings}

    mixed = {"classes": len(dataset.class_names)} | taken(Mixing)
    augmentation = Augmentation(settings.pop("augmentation"), **taken(Augmentation))
    stream = training_batches(dataset, split, augmentation=augmentation, mixing=Mixing(**mixed), **settings)
    return [(images.copy(), labels.copy()) for images, labels in itertools.islice(stream.as_numpy_iterator(), count)]


def ten_classes():
    return dataclasses.replace(counting_set()[0], name="ten", class_names=tuple("abcdefghij"))


def values(epoch):
    return [int(value) for images, _ in epoch for value in images[:, 0, 0, 0]]


def of_unknown_size(dataset):
    """The same data set, but no one knows the images' size before they are decoded."""

    def decode(record):
        return tf.compat.v1.placeholder_with_default(dataset.decode(record), [None, None, 3])

    return dataclasses.replace(dataset, decode=decode)


def assert_equal_batches(left, right):
    for (images, labels), (other_images, other_labels) in zip(left, right, strict=True):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)


def test_a_batch_holds_images_and_their_labels():
    stream = training_batches(
        counting_set()[0], "train", batch_size=4, resolution=6, augmentation=Augmentation("pad_and_crop"), seed=0
    )
    assert stream.element_spec == (tf.TensorSpec([4, 6, 6, 3], tf.float32), tf.TensorSpec([4], tf.int64))
    for images, labels in batches(5):
        np.testing.assert_array_equal(images[:, 0, 0, 0] % 2, labels)


def test_an_epoch_shows_every_example_at_most_once_and_leaves_out_the_remainder():
    assert steps_per_epoch(counting_set()[0], "train", 4) == 5
    for epoch in range(3):
        shown = values(batches(15)[5 * epoch : 5 * epoch + 5])
        assert len(shown) == len(set(shown)) == 20


def test_an_epoch_shows_every_example_once_where_batches_fill_the_split():
    assert sorted(values(batches(2, batch_size=11))) == list(range(SIZE))


def test_epochs_differ_in_order_and_in_what_they_leave_out():
    stream = batches(50)
    epochs = [tuple(values(stream[5 * epoch : 5 * epoch + 5])) for epoch in range(10)]
    assert len(set(epochs)) == 10
    assert len({frozenset(epoch) for epoch in epochs}) > 1


@pytest.mark.parametrize("keywords", [{"augmentation": "pad_and_crop"}, {"mixup_alpha": 0.4}])
def test_bytes_are_the_same_images_rounded(keywords):
    for (images, labels), (rounded, same_labels) in zip(
        batches(3, **keywords), batches(3, as_bytes=True, **keywords), strict=True
    ):
        assert (images.dtype, rounded.dtype) == (np.float32, np.uint8)
        np.testing.assert_array_equal(rounded, np.round(images))
        np.testing.assert_array_equal(same_labels, labels)


@pytest.mark.parametrize("keywords", [{}, {"shuffle_buffer": 5, "cache": False}, {"shuffle_buffer": 5, "cache": True}])
def test_a_run_resumed_at_epoch_3_sees_the_batches_of_one_never_interrupted(keywords):
    keywords |= {"augmentation": "pad_and_crop", "flip": True}
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


def test_no_seed_but_its_own_matters():
    first = batches(10)
    tf.random.set_seed(77)
    tf.random.uniform([])
    assert_equal_batches(first, batches(10))
    tf.random.set_seed(0)
    assert_equal_batches(first, batches(10))


def test_the_global_seed_is_left_alone():
    tf.random.set_seed(5)
    expected = tf.random.uniform([]).numpy()
    tf.random.set_seed(5)
    batches(1)
    assert tf.random.uniform([]).numpy() == expected


@pytest.mark.parametrize("seed", [2, 0, -1, 2**40])
def test_another_seed_gives_another_order(seed):
    assert values(batches(5, seed=seed)) != values(batches(5))


def test_a_small_split_is_read_from_its_source_once():
    dataset, reads = counting_set()
    batches(50, dataset=dataset)
    assert reads.numpy() == SIZE


def test_without_a_cache_every_epoch_reads_its_source():
    dataset, reads = counting_set()
    batches(20, dataset=dataset, cache=False)
    assert reads.numpy() >= 4 * SIZE


def test_a_cache_fills_even_with_a_small_shuffle_buffer():
    dataset, reads = counting_set()
    batches(5, dataset=dataset, batch_size=12, cache=True, shuffle_buffer=3)  # Ten of 22 are left out of each epoch.
    assert reads.numpy() == SIZE


def test_a_large_split_is_neither_cached_nor_shuffled_as_a_whole():
    dataset, reads = counting_set(70_000)
    batches(1, dataset=dataset)
    assert 16_384 <= reads.numpy() < 40_000


@pytest.fixture
def large_table(monkeypatch):
    """The counting set, with a table, in a program for which it is a large one."""
    monkeypatch.setattr(epoch_order, "_SMALL_SPLIT", 10)
    dataset, _ = counting_set()

    def table(split, start, stop):
        return tf.range(start, stop, dtype=tf.int64), tf.range(start, stop, dtype=tf.int64) % 2

    return dataclasses.replace(dataset, table=table)


def test_a_large_split_in_memory_is_permuted_as_a_whole(large_table):
    stream = batches(22, dataset=large_table, batch_size=11)
    epochs = [tuple(values(stream[2 * epoch : 2 * epoch + 2])) for epoch in range(11)]
    assert len(set(epochs)) == 11
    assert all(sorted(epoch) == list(range(SIZE)) for epoch in epochs)
    for images, labels in stream:
        np.testing.assert_array_equal(images[:, 0, 0, 0] % 2, labels)
    # Every place of the epoch can hold any example: with a buffer, the first ones would be among the first only.
    assert len({epoch[0] for epoch in epochs} | {epoch[-1] for epoch in epochs}) > 10


def test_a_run_over_a_large_table_resumes_and_is_shared_out(large_table):
    whole = batches(10, dataset=large_table, augmentation="pad_and_crop")
    assert_equal_batches(whole[5:], batches(5, dataset=large_table, augmentation="pad_and_crop", start_epoch=1))
    own = batches(10, dataset=large_table, augmentation="pad_and_crop", part=(1, 2))
    assert_equal_batches([(images[2:], labels[2:]) for images, labels in whole], own)
    assert values(batches(5, dataset=large_table, seed=2)) != values(batches(5, dataset=large_table))
    parts = batches(3, dataset=large_table, split="train[:4]+train[10:20]")
    assert set(values(parts)) <= {*range(4), *range(10, 20)}


def test_a_shuffle_buffer_of_one_keeps_the_order():
    assert values(batches(5, shuffle_buffer=1)) == list(range(20))


def test_evaluation_shows_the_whole_split_in_order():
    shown = list(evaluation_batches(counting_set()[0], "train", batch_size=8, resolution=4).as_numpy_iterator())
    assert [len(labels) for _, labels in shown] == [8, 8, 6]
    assert values(shown) == list(range(SIZE))
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in shown]), np.arange(SIZE) % 2)
    assert (shown[0][0].dtype, shown[0][1].dtype) == (np.float32, np.int64)


@pytest.mark.parametrize(("limit", "count"), [(1, 1), (10, 10), (100, SIZE)])
def test_a_limit_takes_the_first_images(limit, count):
    shown = evaluation_batches(counting_set()[0], "train", batch_size=8, resolution=4, limit=limit)
    assert values(shown.as_numpy_iterator()) == list(range(count))


def test_the_first_images_of_the_bundled_set_are_of_all_classes():
    shown = evaluation_batches(load_dataset("fashion_mnist_mini"), "test", batch_size=100, resolution=28, limit=100)
    ((_, labels),) = shown.as_numpy_iterator()
    assert len(set(labels)) == 10


def test_evaluation_resizes_and_crops():
    dataset = load_dataset("fashion_mnist_mini")
    ((images, _),) = evaluation_batches(dataset, "test[:2]", batch_size=2, resolution=20, resize=28).as_numpy_iterator()
    originals = [image[4:24, 4:24] for image, _ in dataset.examples("test[:2]").as_numpy_iterator()]
    np.testing.assert_array_equal(images, originals)


def test_the_parts_of_a_batch_make_up_the_batch():
    whole = batches(10)
    parts = [batches(10, part=(number, 2)) for number in range(2)]
    joined = [tuple(np.concatenate(pair) for pair in zip(*halves, strict=True)) for halves in zip(*parts, strict=True)]
    assert_equal_batches(whole, joined)


def test_a_part_decodes_no_image_of_the_others():
    dataset, _ = counting_set()
    decoded = tf.Variable(tf.zeros([SIZE], tf.int32))

    def decode(index):
        decoded.scatter_nd_update([[index]], [1])
        return dataset.decode(index)

    watched = dataclasses.replace(dataset, decode=decode)
    batches(5, dataset=watched, part=(1, 2), shuffle_buffer=1)
    assert set(np.flatnonzero(decoded.numpy())) == {index for index in range(20) if index % 4 in (2, 3)}


@pytest.mark.parametrize("hidden", [False, True])
def test_every_image_gets_the_view_of_its_own_seed(hidden):
    plain = load_dataset("fashion_mnist_mini")
    shown = batches(
        6,
        dataset=of_unknown_size(plain) if hidden else plain,
        split="train[:10]",
        resolution=28,
        augmentation="pad_and_crop",
        flip=True,
        seed=9,
        shuffle_buffer=1,  # Keeps the order.
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


def test_the_parts_of_an_evaluation_are_its_batches_in_turn():
    def shown(**keywords):
        stream = evaluation_batches(counting_set()[0], "train", batch_size=4, resolution=4, **keywords)
        return list(stream.as_numpy_iterator())

    whole = shown()
    for number in range(3):
        assert_equal_batches(whole[number::3], shown(part=(number, 3)))


MIXED = {"mixup_alpha": 0.4, "cutmix_alpha": 1.0, "color_jitter": 0.4, "rand_augment_layers": 1}


def test_mixed_labels_are_probabilities_and_plain_ones_are_not():
    (images, labels), *_ = batches(1, mixup_alpha=0.2)
    assert (images.shape, images.dtype) == ((4, 4, 4, 3), np.float32)
    assert (labels.shape, labels.dtype) == ((4, 2), np.float32)
    np.testing.assert_allclose(labels.sum(axis=1), 1.0, atol=1e-6)
    assert batches(1, color_jitter=0.4)[0][1].dtype == np.int64
    assert batches(1, mixup_alpha=0.2, classes=5)[0][1].shape == (4, 5)


def test_mixing_mixes_the_very_batches_that_come_without_it():
    plain, mixed = batches(10), batches(10, mixup_alpha=1.0)
    shares = []
    for (images, _), (blends, _) in zip(plain, mixed, strict=True):
        own, partner = images[:, 0, 0, 0], np.roll(images[:, 0, 0, 0], -1)
        share = (blends[:, 0, 0, 0] - partner) / (own - partner)
        assert share.min() > -1e-4 and share.max() < 1.0001
        shares.extend(share.round(4))
    assert len(set(shares)) > 30  # Every pair of every batch has its own.


def test_a_resumed_run_mixes_the_same_pairs_in_the_same_way():
    dataset = load_dataset("fashion_mnist_mini")
    keywords = {"dataset": dataset, "split": "train[:32]", "batch_size": 8, "resolution": 16, **MIXED}
    whole = batches(12, **keywords)
    assert_equal_batches(whole[8:], batches(4, start_epoch=2, **keywords))
    assert not np.array_equal(whole[0][1], batches(1, seed=2, **keywords)[0][1])


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
        ({"shuffle_buffer": 0}, "Expected shuffle_buffer of at least 1. Received: shuffle_buffer=0."),
        ({"split": "valid"}, "Expected one of the splits train, test. Received: split='valid'."),
    ],
)
def test_training_on_nonsense_is_refused_on_one_line(arguments, message):
    with pytest.raises(ValueError, match=f"{message}$") as error:
        batches(1, **arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "Expected batch_size of at least 1. Received: batch_size=0."),
        ({"resolution": 0}, "Received: resolution=0."),
        ({"resize": 3}, "Expected a resize of at least the resolution, 4 pixels. Received: resize=3."),
        ({"limit": 0}, "Expected limit of at least 1. Received: limit=0."),
        (
            {"split": "train[:0]"},
            r"Expected a split with at least one of the 22 examples. Received: split='train\[:0\]'.",
        ),
    ],
)
def test_evaluating_on_nonsense_is_refused_on_one_line(arguments, message):
    settings = {"split": "train", "batch_size": 4, "resolution": 4} | arguments
    with pytest.raises(ValueError, match=f"{message}$") as error:
        evaluation_batches(counting_set()[0], settings.pop("split"), **settings)
    assert "\n" not in str(error.value)
