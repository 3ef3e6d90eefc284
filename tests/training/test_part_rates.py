"""Head and body at rates of their own, and decay apart from gradients, against Keras' own optimizers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.search.mask_search import MaskSearch

HEAD = {"logits/kernel", "logits/bias"}


def optimizers(kind):
    return keras.optimizers.Adam(0.01) if kind == "adam" else keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)


def trained(model, batch, *, kind, steps=3):
    model.compile(optimizers(kind))
    for _ in range(steps):
        model.train_step((tf.constant(batch[0]), tf.constant(batch[1])))
    return {variable.path: np.asarray(variable) for variable in model.supernet.trainable_variables}


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_one_step_moves_the_body_by_its_share_and_the_head_by_all(trainer_builder, supernet_builder, batch, kind):
    before = {v.path: np.asarray(v) for v in supernet_builder().trainable_variables}
    whole = trained(trainer_builder(), batch, kind=kind, steps=1)
    part = trained(trainer_builder(body_learning_rate=0.25), batch, kind=kind, steps=1)
    for path, start in before.items():
        share = 1.0 if path in HEAD else 0.25
        np.testing.assert_allclose(part[path] - start, share * (whole[path] - start), rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_a_body_without_a_rate_stays_as_it_is_penalties_included(trainer_builder, supernet_builder, batch, kind):
    before = {v.path: np.asarray(v) for v in supernet_builder().trainable_variables}
    model = trainer_builder(
        body_learning_rate=0.0, weight_decay=0.1, gamma_l1=0.1, decoupled_weight_decay=kind == "adam"
    )
    after = trained(model, batch, kind=kind)
    assert {path for path in before if not np.array_equal(before[path], after[path])} == HEAD


def test_decay_apart_from_the_gradient_is_that_of_adamw(trainer_builder, batch):
    model = trainer_builder(weight_decay=0.2, decoupled_weight_decay=True, distillation="none")
    actual = trained(model, batch, kind="adam")
    other = trainer_builder(weight_decay=0.0, distillation="none")
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.2)
    kernels = {"stem/kernel", "last/kernel", "logits/kernel"}
    optimizer.exclude_from_weight_decay([v for v in other.supernet.trainable_variables if v.path not in kernels])
    other.compile(optimizer)
    for _ in range(3):
        other.train_step((tf.constant(batch[0]), tf.constant(batch[1])))
    for variable in other.supernet.trainable_variables:
        np.testing.assert_allclose(actual[variable.path], variable, rtol=1e-4, atol=1e-6, err_msg=variable.path)


def test_the_head_learns_alone_first_and_the_search_begins_after_it(trainer_builder, batch):
    model = trainer_builder(head_epochs=2)
    model.compile(keras.optimizers.SGD(0.05))
    seen = []

    def note(epoch, logs):
        values = {v.path: np.asarray(v) for v in model.supernet.trainable_variables}
        seen.append((model.phase, values))

    search = MaskSearch(1.0, epochs=1)
    before = {v.path: np.asarray(v) for v in model.supernet.trainable_variables}
    callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=note), search]
    model.fit(*batch, batch_size=10, epochs=4, callbacks=callbacks, verbose=0)
    assert [phase for phase, _ in seen] == ["head", "head", "search", "joint"]
    assert len(search.tracker.history) == 1
    assert {path for path in before if not np.array_equal(before[path], seen[1][1][path])} == HEAD
    assert all(not np.array_equal(before[path], seen[2][1][path]) for path in before)
