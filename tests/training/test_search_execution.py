import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.tasks.classification import task
from ofar_tf.training.search_execution import faster_execution


def test_masked_and_sliced_searches_find_and_train_the_same(trainer_builder, supernet_builder, batch):
    found = []
    for execution in ("masked", "sliced"):
        model = trainer_builder(
            supernet_builder(), search_execution=execution, search_resolutions=[8, 12], gamma_l1=0.01
        )
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9))
        data = tf.data.Dataset.from_tensors(batch).repeat()
        search = MaskSearch(1.0, epochs=3, patience=2)
        model.fit(data, steps_per_epoch=2, epochs=4, verbose=0, callbacks=[search])
        found.append((search.state(), model.supernet.get_weights()))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    for masked, sliced in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(masked, sliced, rtol=2e-3, atol=2e-4)


def test_a_structure_whose_mask_stays_is_not_traced_again(trainer_builder, mask_drawer, pool_maker, batch, monkeypatch):
    traces, plain = [], task.forward_kl
    monkeypatch.setattr(task, "forward_kl", lambda *arguments: traces.append(1) or plain(*arguments))
    model = trainer_builder(pruning_rates=[0.2, 0.3, 0.4, 0.6], search_execution="sliced", networks_per_step="all")
    model.compile(keras.optimizers.SGD(0.0))
    first, second = mask_drawer(model, seed=0), mask_drawer(model, seed=1)
    counts = []
    for masks in ([*first[:3], first[3]], [*first[:3], second[3]], [first[0], *second[1:]]):
        model.set_masks(masks, frozen=[False] * 4)
        tf.function(model.train_step)((tf.constant(batch[0]), tf.constant(batch[1])))
        counts.append(len(traces))
    model.freeze(pool_maker(model, [first[0], *second[1:]]))
    tf.function(model.train_step)((tf.constant(batch[0]), tf.constant(batch[1])))
    counts.append(len(traces))
    # The teacher is whole until it is frozen: it is traced when the search begins and when it ends.
    assert counts == [4, 5, 7, 8]


@pytest.mark.parametrize(
    ("arguments", "again"),
    [
        ({"search_execution": "masked"}, [False, False, False]),
        ({"search_execution": "sliced"}, [True, True, False]),
        # Its largest network is whole, whatever the masks.
        ({"search_execution": "sliced", "search_networks": "largest"}, [True, False, False]),
    ],
)
def test_a_step_is_traced_again_where_networks_that_it_runs_have_changed(
    trainer_builder, mask_drawer, batch, arguments, again
):
    model = trainer_builder(**arguments)
    model.compile(keras.optimizers.SGD(0.0))
    model.make_train_function()
    first, second = mask_drawer(model, seed=0), mask_drawer(model, seed=1)
    for masks, expected in zip((first, second, second), again, strict=True):
        before = model.train_function
        model.set_masks(masks, frozen=[False] * 4)
        assert (model.train_function is not before) is expected


@pytest.mark.parametrize(
    ("macs", "images", "accelerated", "expected"),
    [
        (5_190_000, 5_000, False, "masked"),  # The quick start.
        (40_800_000, 50_000, False, "sliced"),  # ResNet-20 on CIFAR-10: 150 to 200 s an epoch against 190 to 330 s.
        (40_800_000, 50_000, True, "masked"),
        (672_832_704, 1_281_167, True, "sliced"),  # ImageNet.
    ],
)
def test_compact_networks_are_worth_tracing_where_an_epoch_is_long(macs, images, accelerated, expected):
    assert faster_execution(macs, images=images, accelerated=accelerated) == expected
