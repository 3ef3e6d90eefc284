import numpy as np
import pytest

from ofar_tf.data import evaluation_batches, load_dataset
from tests.data.counting_set import SIZE, assert_equal_batches, counting_set, values


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


def test_the_parts_of_an_evaluation_are_its_batches_in_turn():
    def shown(**keywords):
        stream = evaluation_batches(counting_set()[0], "train", batch_size=4, resolution=4, **keywords)
        return list(stream.as_numpy_iterator())

    whole = shown()
    for number in range(3):
        assert_equal_batches(whole[number::3], shown(part=(number, 3)))


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
