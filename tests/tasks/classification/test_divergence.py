import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ofar_tf.tasks.classification.divergence import forward_kl, reverse_kl

LOGITS = arrays(np.float32, (4, 3), elements=st.floats(-5, 5, width=32))


def softmax(logits):
    exponentials = np.exp(logits.astype(np.float64))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def test_both_divergences_have_the_values_computed_by_hand():
    # Teacher (1/2, 1/2), student (1/4, 3/4).
    target, logits = tf.constant([[0.5, 0.5]]), tf.constant([[0.0, np.log(3.0)]], tf.float32)
    assert float(forward_kl(target, logits)[0]) == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(2 / 3))
    assert float(reverse_kl(target, logits)[0]) == pytest.approx(0.25 * np.log(1 / 2) + 0.75 * np.log(3 / 2))


@given(LOGITS, LOGITS)
def test_the_forward_gradient_is_student_minus_teacher(teacher, student):
    logits = tf.constant(student)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = forward_kl(tf.constant(softmax(teacher), tf.float32), logits)
    expected = softmax(student) - softmax(teacher)
    np.testing.assert_allclose(tape.gradient(loss, logits), expected, atol=1e-6)


@given(LOGITS, LOGITS)
def test_both_divergences_are_zero_for_equal_and_positive_for_different_distributions(teacher, student):
    target = tf.constant(softmax(teacher), tf.float32)
    for divergence in (forward_kl, reverse_kl):
        assert np.min(divergence(target, tf.constant(student))) >= -1e-6
        np.testing.assert_allclose(divergence(target, tf.constant(teacher)), 0.0, atol=1e-6)


@given(LOGITS, arrays(np.int64, 4, elements=st.integers(0, 2)))
def test_for_one_hot_targets_the_forward_divergence_is_the_cross_entropy(student, labels):
    expected = -np.log(softmax(student)[np.arange(4), labels])
    np.testing.assert_allclose(forward_kl(tf.one_hot(labels, 3), tf.constant(student)), expected, atol=1e-5)


@pytest.mark.parametrize("divergence", [forward_kl, reverse_kl])
def test_nothing_flows_into_the_teacher(divergence):
    teacher, student = tf.constant([[1.0, 2.0]]), tf.constant([[0.5, 0.1]])
    with tf.GradientTape() as tape:
        tape.watch([teacher, student])
        loss = divergence(tf.nn.softmax(teacher), student)
    to_teacher, to_student = tape.gradient(loss, [teacher, student])
    assert to_teacher is None
    assert np.abs(to_student).max() > 0.01


@pytest.mark.parametrize("divergence", [forward_kl, reverse_kl])
def test_a_teacher_or_student_that_is_quite_sure_gives_finite_numbers(divergence):
    target, logits = tf.constant([[1.0, 0.0], [0.0, 1.0]]), tf.constant([[-90.0, 90.0], [-90.0, 90.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = divergence(target, logits)
    assert np.isfinite(loss).all()
    assert np.isfinite(tape.gradient(loss, logits)).all()


def test_the_loss_of_bfloat16_logits_is_float32():
    loss = forward_kl(tf.constant([[0.5, 0.5]]), tf.constant([[0.0, 1.0]], tf.bfloat16))
    assert loss.dtype == tf.float32
