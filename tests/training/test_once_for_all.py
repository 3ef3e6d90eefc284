import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.tasks.classification import task
from ofar_tf.tasks.classification.divergence import forward_kl
from ofar_tf.training.schedules import SearchThenDecay


class NoteEpochs(keras.callbacks.Callback):
    """Notes what a user's own callback sees at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.searching = []

    def on_epoch_end(self, epoch, logs=None):
        self.searching.append(self.model.searching)


def fit(model, batch, *callbacks, epochs, **arguments):
    data = tf.data.Dataset.from_tensors(batch).repeat()
    return model.fit(
        data, steps_per_epoch=2, epochs=epochs, shuffle=False, verbose=0, callbacks=list(callbacks), **arguments
    )


def test_fit_searches_then_trains_the_pool_and_traces_each_structure_once(trainer_builder, batch, monkeypatch):
    traces = []
    monkeypatch.setattr(task, "forward_kl", lambda *arguments: traces.append(1) or forward_kl(*arguments))
    model = trainer_builder(gamma_l1=0.01)
    schedule = SearchThenDecay(0.1, search=0.05, search_steps=model.search_steps, total_steps=12, decay="linear")
    model.compile(keras.optimizers.SGD(schedule, momentum=0.9))
    before, after = NoteEpochs(), NoteEpochs()

    history = fit(model, batch, before, MaskSearch(epochs=2, similarity_threshold=1.0), after, epochs=6).history
    assert before.searching == [True, True, False, False, False, False]
    assert after.searching == [True, False, False, False, False, False]
    assert len(traces) == 1 + 4
    assert int(model.search_steps) == 4
    assert float(model.optimizer.learning_rate) == pytest.approx(0.0, abs=1e-8)
    assert [network.mask.keep.sum() for network in model.pool] == [14, 10, 8, 5]  # (1 - rate) * 14, rounded down.
    assert model.masks == list(model.pool.masks)
    assert history["teacher_loss"][-1] < history["teacher_loss"][0]
    assert set(history) == {"teacher_loss", "assistant_1_loss", "assistant_2_loss", "student_loss", "accuracy"}


def test_several_steps_in_one_execution_give_the_same_weights(trainer_builder, supernet_builder, batch):
    trained = []
    for steps in (1, 2):
        model = trainer_builder(supernet_builder(), pruning_rates=[0.2, 0.6])
        model.compile(keras.optimizers.SGD(0.1), steps_per_execution=steps)
        fit(model, batch, MaskSearch(epochs=1), epochs=2)
        assert int(model.optimizer.iterations) == 4
        trained.append([np.array(weight) for weight in model.supernet.weights])
    for single, double in zip(*trained, strict=True):
        np.testing.assert_allclose(single, double, rtol=1e-4, atol=1e-5)


class Batches(keras.utils.PyDataset):
    def __init__(self, images, labels):
        super().__init__()
        self.images, self.labels = images, labels

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.images[5 * index :][:5], self.labels[5 * index :][:5]


def test_labels_may_be_of_another_form_at_each_fit_and_those_of_every_batch_are_looked_at(trainer_builder, batch):
    images, labels = batch
    model = trainer_builder(pruning_rates=[0.0, 0.5], resolutions=[12], importance="uniform")
    model.compile(keras.optimizers.SGD(0.0, momentum=0.0))
    forms = [(images, labels), (images, np.eye(3)[labels]), (images[..., 0], labels[:, None])]
    losses = [
        model.fit(*form, batch_size=10, verbose=0, callbacks=[MaskSearch()]).history["teacher_loss"]
        for form in forms[:2]
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    model.fit(*forms[2], batch_size=10, verbose=0)
    wrong, shares = labels.copy(), np.eye(3)[labels]
    wrong[7], shares[9] = 3, [0.5, 0.5, 0.5]
    with pytest.raises(ValueError, match=r"^Expected labels from 0 to 2, for 3 classes\. Received: label=3\.$"):
        model.fit(Batches(images, wrong), verbose=0)
    later = ((images[start:][:5], shares[start:][:5]) for start in (0, 5))
    with pytest.raises(ValueError, match=r"^Expected rows of probabilities, .* Received: 0\.5 0\.5 0\.5\.$"):
        model.fit(later, verbose=0)


@pytest.mark.parametrize("importance", ["uniform", "random"])
def test_a_control_trains_its_structures_from_the_first_step(trainer_builder, batch, importance):
    model, notes = trainer_builder(importance=importance, pruning_rates=[0.2, 0.6]), NoteEpochs()
    model.compile(keras.optimizers.SGD(0.0))
    fit(model, batch, MaskSearch(epochs=3), notes, epochs=1)
    assert notes.searching == [False]
    assert int(model.search_steps) == 0
    assert {(network.converged, network.frozen_at_epoch) for network in model.pool} == {(True, 0)}


def test_mixed_bfloat16_trains_float32_weights(trainer_builder, supernet_builder, batch):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = trainer_builder(supernet_builder(), pruning_rates=[0.2, 0.6])
        model.compile(keras.optimizers.SGD(0.05))
        losses = fit(model, batch, MaskSearch(epochs=1), epochs=5).history["teacher_loss"]
    finally:
        keras.config.set_dtype_policy("float32")
    assert {weight.dtype for weight in model.supernet.weights} == {"float32"}
    assert model.supernet.compute_dtype == "bfloat16" or model.supernet.layers[-1].compute_dtype == "bfloat16"
    assert losses[-1] < losses[0]


def test_fit_says_that_a_gpu_is_there_and_not_used(trainer_builder, batch, monkeypatch, caplog):
    monkeypatch.setattr("ofar_tf.devices.accelerators.unused_gpu", lambda: "there is a GPU")
    model = trainer_builder()
    model.compile()
    with pytest.raises(ValueError, match="MaskSearch"):  # Before anything else, so that nothing need be trained here.
        fit(model, batch, epochs=1)
    assert "there is a GPU" in caplog.messages


def test_fit_says_once_that_no_file_can_come_of_a_network(
    trainer_builder, supernet_builder, batch, monkeypatch, caplog
):
    monkeypatch.setattr(keras.Model, "fit", lambda *_, **__: None)
    supernet = supernet_builder()
    wide = keras.layers.UpSampling2D(2, interpolation="bicubic")(supernet.input)
    for network, warnings in ((supernet, 0), (keras.Model(supernet.input, supernet(wide), name="bicubic"), 1)):
        caplog.clear()
        model = trainer_builder(network)
        model.compile()
        for _ in range(2):
            fit(model, batch, MaskSearch(), epochs=1)
        assert sum("no operator of TFLite computes" in message for message in caplog.messages) == warnings


def test_without_a_search_or_a_pool_fit_refuses_to_train(trainer_builder, mask_drawer, pool_maker, batch):
    model = trainer_builder()
    model.compile(keras.optimizers.SGD(0.0))
    with pytest.raises(ValueError, match="Expected MaskSearch among the callbacks of fit") as raised:
        fit(model, batch, keras.callbacks.Callback(), epochs=1)
    assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match="Expected MaskSearch"):
        model.fit(*batch)
    model.freeze(pool_maker(model, mask_drawer(model)))
    fit(model, batch, epochs=1)


def test_validation_data_is_refused_before_an_epoch_is_spent(trainer_builder, batch):
    model = trainer_builder()
    model.compile(keras.optimizers.SGD(0.0))
    with pytest.raises(ValueError, match="networks are measured after calibration"):
        fit(model, batch, MaskSearch(), epochs=1, validation_data=batch)
    with pytest.raises(ValueError, match="networks are measured after calibration"):
        model.fit(*batch, callbacks=MaskSearch(), validation_split=0.1)


@pytest.mark.parametrize("ask", ["predict", "predict_on_batch", "evaluate"])
def test_what_has_no_statistics_of_its_own_is_not_asked(trainer_builder, batch, ask):
    model = trainer_builder()
    model.compile(keras.optimizers.SGD(0.0))
    with pytest.raises(ValueError, match=r"^Expected .*calibrates.* Received: "):
        getattr(model, ask)(np.asarray(batch[0]))


def test_class_weights_without_numbers_are_refused_with_what_makes_them(trainer_builder, batch):
    model = trainer_builder()
    model.compile(keras.optimizers.SGD(0.0))
    with pytest.raises(ValueError, match=r"data.class_weights balances them.* Received: class_weight='balanced'\.$"):
        model.fit(*batch, callbacks=MaskSearch(), class_weight="balanced")


@pytest.mark.parametrize("copied", [copy.deepcopy, pickle.dumps, keras.models.clone_model])
def test_a_copy_is_refused_with_what_keeps_a_family(trainer_builder, copied):
    with pytest.raises(NotImplementedError, match=r"^Expected save\(folder\), which ofar_tf.load reads"):
        copied(trainer_builder())


@pytest.mark.parametrize("name", ["loss", "metrics"])
def test_a_loss_that_nothing_would_use_is_refused(trainer_builder, name):
    with pytest.raises(ValueError, match=rf"Expected no {name} in compile.* Received: {name}='mse'\.$"):
        trainer_builder().compile("sgd", **{name: "mse"})


def test_a_pool_given_before_compiling_starts_the_decay_at_once(trainer_builder, mask_drawer, pool_maker):
    model = trainer_builder()
    model.freeze(pool_maker(model, mask_drawer(model)))
    assert int(model.search_steps) == 0
    assert not model.searching


def test_before_the_first_epoch_all_masks_are_whole(trainer_builder):
    model = trainer_builder()
    assert model.masks == [ChannelMask.full(model.groups)] * 4


def test_a_pool_of_another_number_of_structures_is_refused(trainer_builder, mask_drawer, pool_maker):
    model, other = trainer_builder(), trainer_builder(pruning_rates=[0.2, 0.6])
    with pytest.raises(ValueError, match=r"Expected 4 structures\. Received: 2"):
        model.freeze(pool_maker(other, mask_drawer(other)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"importance": "size"}, "importance of gamma"),
        ({"divergence": "both"}, "divergence of forward, reverse"),
        ({"weight_decay": -1.0}, "weight_decay of at least 0"),
        ({"gamma_l1": -1.0}, "gamma_l1 of at least 0"),
        ({"pruning_rates": [0.5]}, "at least two budgets"),
        ({"pruning_rates": [0.1, 0.99]}, "pruning rate of at most"),
        ({"pruning_rates": 0.5}, r"Expected pruning_rates as a list. Received: pruning_rates=0.5"),
        ({"resolutions": 8}, r"Expected resolutions as a list. Received: resolutions=8"),
        ({"resolutions": "8,6"}, r"Expected resolutions as a list. Received: resolutions='8,6'"),
        ({"resolutions": []}, "different resolutions"),
        ({"resolutions": [8, 8]}, "different resolutions"),
        ({"search_resolutions": [16]}, "to search and train at of at most 12"),
        ({"training_resolutions": [12, 16]}, "to search and train at of at most 12"),
        ({"distillation": "ring"}, "distillation to be one of chain, star, none"),
        ({"after_search": "stop"}, "after_search to be one of continue, reinitialize"),
        ({"networks_per_step": "five"}, "networks_per_step to be one of sandwich, all"),
        ({"weights": "mine"}, "weights that are shared or separate"),
        ({"batch_norm": "frozen"}, "batch_norm calibrated or switchable"),
        ({"label_smoothing": 1.0}, r"label_smoothing in \[0, 1\)"),
        ({"gradient_accumulation": 0}, "at least one part of a batch"),
        ({"clip_norm": 0.0}, "positive clip_norm"),
        ({"networks_at_once": 0}, "at least one network at once"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(trainer_builder, arguments, message):
    with pytest.raises(ValueError, match=message):
        trainer_builder(**arguments)
