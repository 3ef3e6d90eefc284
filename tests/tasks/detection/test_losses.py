import math

import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.tasks.detection.boxes import encode
from ofar_tf.tasks.detection.losses import ciou, focal_loss, giou, smooth_l1


@pytest.mark.parametrize(("target", "probability"), [(1.0, 0.9), (1.0, 0.1), (0.0, 0.9), (0.0, 0.1)])
def test_the_focal_loss_of_hard_labels_is_that_of_the_paper(target, probability):
    right = probability if target else 1 - probability
    expected = -(0.25 if target else 0.75) * (1 - right) ** 2 * math.log(right)
    logit = math.log(probability / (1 - probability))
    assert np.isclose(float(focal_loss(tf.constant(target), tf.constant(logit))), expected)


def test_the_focal_loss_of_soft_targets_vanishes_with_its_gradient_where_both_agree():
    logits = tf.Variable([-2.0, 0.0, 3.0])
    targets = tf.sigmoid(logits.value())
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(focal_loss(targets, logits))
    assert float(loss) < 1e-12
    np.testing.assert_allclose(tape.gradient(loss, logits), 0, atol=1e-6)
    soft = -(0.25 * 0.3 + 0.75 * 0.7) * 0.2**2 * (0.3 * math.log(0.5) + 0.7 * math.log(0.5))
    assert np.isclose(float(focal_loss(tf.constant(0.3), tf.constant(0.0))), soft)


def test_smooth_l1_is_squared_near_zero_and_linear_beyond_a_ninth():
    loss = smooth_l1(tf.zeros([4]), tf.constant([0.0, 0.1, -0.5, 2.0]), None)
    assert np.isclose(float(loss), 0.5 * 0.01 * 9 + (0.5 - 1 / 18) + (2 - 1 / 18))


def boxes() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Deltas of two boxes of an anchor: [0, 0, 2, 2] and [1, 1, 3, 4], which have 1 of 9 in common, 12 around them."""
    anchor = tf.constant([[0.0, 0.0, 2.0, 2.0]])
    return (
        encode(tf.constant([[0.0, 0.0, 2.0, 2.0]]), anchor),
        encode(tf.constant([[1.0, 1.0, 3.0, 4.0]]), anchor),
        anchor,
    )


def test_giou_by_hand():
    assert np.isclose(float(giou(*boxes())[0]), 1 - (1 / 9 - (12 - 9) / 12), rtol=1e-5)


def test_ciou_by_hand():
    angle = 4 / math.pi**2 * (math.atan(1.0) - math.atan(1.5)) ** 2
    weight = angle / (1 - 1 / 9 + angle)
    distance = (1.0**2 + 1.5**2) / (3**2 + 4**2)
    assert np.isclose(float(ciou(*boxes())[0]), 1 - 1 / 9 + distance + weight * angle, rtol=1e-5)


@pytest.mark.parametrize("loss", [smooth_l1, giou, ciou])
def test_box_losses_are_zero_for_the_box_itself_and_their_gradients_are_finite(loss):
    wanted, other, anchor = boxes()
    assert abs(float(loss(wanted, wanted, anchor)[0])) < 1e-6
    for start in (other, wanted, 0.0 * other + 50.0):
        deltas = tf.Variable(start)
        with tf.GradientTape() as tape:
            value = loss(wanted, deltas, anchor)
        assert np.isfinite(tape.gradient(value, deltas)).all()
