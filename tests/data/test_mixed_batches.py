import numpy as np

from ofar_tf.data import load_dataset
from tests.data.counting_set import assert_equal_batches, batches

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
