import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.data import epoch_order, steps_per_epoch
from tests.data.counting_set import SIZE, assert_equal_batches, batches, counting_set, values


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


def test_a_large_split_is_read_from_its_source_in_every_epoch(monkeypatch):
    monkeypatch.setattr(epoch_order, "_SMALL_SPLIT", SIZE - 1)
    dataset, reads = counting_set()
    batches(20, dataset=dataset)
    assert reads.numpy() >= 4 * SIZE


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
