"""How far a classifier's output is from what it should be."""

from collections.abc import Callable

import tensorflow as tf

Divergence = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def forward_kl(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Computes KL(target, student).

    This is Equations 5 to 7 of the paper with their sign and argument order mended (DESIGN D3); its gradient with
    respect to the logits is student - target. For one-hot targets it is the cross-entropy, so the same function is the
    teacher's loss (Equation 4, DESIGN D2).

    Args:
        target: float32 `[B, K]`, probabilities. No gradient flows into them.
        logits: float `[B, K]`, the student's.

    Returns:
        float32 `[B]`, in nats.
    """
    target = tf.stop_gradient(target)
    log_student = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    return _over_classes(tf.math.xlogy(target, target) - target * log_student)


def reverse_kl(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Computes KL(student, target), the order the paper prints.

    Args:
        target: float32 `[B, K]`, probabilities. No gradient flows into them.
        logits: float `[B, K]`, the student's.

    Returns:
        float32 `[B]`, in nats.
    """
    # Probabilities that underflowed to zero would make the divergence infinite.
    log_target = tf.math.log(tf.maximum(tf.stop_gradient(target), 1e-12))
    log_student = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    return _over_classes(tf.exp(log_student) * (log_student - log_target))


DIVERGENCES: dict[str, Divergence] = {"forward": forward_kl, "reverse": reverse_kl}


def _over_classes(values: tf.Tensor) -> tf.Tensor:
    # The gradient of a sum that gives its axis up computes a shape on the accelerator, and waits for it.
    return tf.squeeze(tf.reduce_sum(values, axis=-1, keepdims=True), axis=-1)
