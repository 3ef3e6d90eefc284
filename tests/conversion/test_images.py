import numpy as np

from ofar_tf.conversion.images import FamilyImages
from ofar_tf.evaluation.pool_accuracy import PoolImages

PRECISIONS = ("float32", "int8", "int16x8", "qat")
COUNTS = {"representative": 3, "fine_tuning": 5}


def images_with(training):
    return FamilyImages(evaluation=lambda resolution: (), training=training)


def test_each_set_is_made_once_and_goes_to_the_precisions_that_need_it(tmp_path):
    calls = []

    def training(resolution, images):
        calls.append((resolution, images))
        return np.full((images, resolution, resolution, 3), 7.6, np.float32)

    paths = images_with(training).write(tmp_path, precisions=PRECISIONS, resolutions=[8, 4, 8], **COUNTS)
    assert {key: path.name for key, path in paths.items()} == {
        (name, resolution): f"{kind}_r{resolution}.npy"
        for name, kind in (("int8", "representative"), ("int16x8", "representative"), ("qat", "fine_tuning"))
        for resolution in (4, 8)
    }
    assert calls == [(4, 3), (4, 5), (8, 3), (8, 5)]


def test_images_to_learn_from_are_bytes(tmp_path):
    values = np.array([-0.3, 7.6, 255.2], np.float32).reshape(1, 1, 1, 3)
    images = images_with(lambda resolution, images: values)
    paths = images.write(tmp_path, precisions=PRECISIONS, resolutions=[1], **COUNTS)
    np.testing.assert_array_equal(np.load(paths["int8", 1]), values)
    learned = np.load(paths["qat", 1])
    assert learned.dtype == np.uint8 and learned.ravel().tolist() == [0, 8, 255]


def test_batches_at_the_largest_resolution_are_resized_for_each_network():
    batches = [(np.full((2, 4, 4, 3), value, np.float32), np.array([value, 0])) for value in (1, 2)]
    pool = PoolImages(calibration=list, evaluation=lambda: batches)
    images = FamilyImages.resized(pool, training=lambda images: batches[:images])
    for _ in range(2):  # From the start each time.
        found = list(images.evaluation(2))
        assert [(pictures.shape, labels.tolist()) for pictures, labels in found] == [
            ((2, 2, 2, 3), [1, 0]),
            ((2, 2, 2, 3), [2, 0]),
        ]
    assert images.training(2, 1).shape == (2, 2, 2, 3)
    assert images.selection is None
