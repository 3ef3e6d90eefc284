"""The loss of each network of the sandwich, and who teaches it."""

from collections.abc import Callable

import tensorflow as tf

DIVERGENCES = ("forward", "reverse")
# A network's teacher is the one before it (the paper, Equations 5 to 7), or always the largest (US-Net, MutualNet), or
# none: then all learn from the labels (Slimmable Networks).
DISTILLATIONS = ("chain", "star", "none")

Loss = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


def network_loss(divergence: str) -> Loss:
    """Returns the loss of a network, a function of (target, logits, whether the target are labels).

    Labels are learned by cross-entropy whatever the divergence between networks is (Equation 4, DESIGN D2).

    Args:
        divergence: `forward` or `reverse`, between teacher and student (DESIGN D3).

    Raises:
        ValueError: If it is neither.
    """
    if divergence not in DIVERGENCES:
        raise ValueError(f"Expected a divergence of {', '.join(DIVERGENCES)}. Received: {divergence!r}.")
    if divergence == "forward":
        return lambda target, logits, from_labels: forward_kl(target, logits)
    return lambda target, logits, from_labels: tf.where(
        from_labels, forward_kl(target, logits), reverse_kl(target, logits)
    )


def forward_kl(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Computes KL(target, student).

    This is Equations 5 to 7 of the paper with their sign and argument order mended (DESIGN D3); its gradient with
    respect to the logits is (student - target) / batch. For one-hot targets it is the cross-entropy, so the same
    function is the teacher's loss (Equation 4, DESIGN D2).

    Args:
        target: float32 `[B, K]`, probabilities. No gradient flows into them.
        logits: float `[B, K]`, the student's.

    Returns:
        Scalar float32: the mean over the batch, in nats.
    """
    target = tf.stop_gradient(target)
    log_student = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    return tf.reduce_mean(tf.reduce_sum(tf.math.xlogy(target, target) - target * log_student, axis=-1))


def reverse_kl(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Computes KL(student, target), the order the paper prints.

    Args:
        target: float32 `[B, K]`, probabilities. No gradient flows into them.
        logits: float `[B, K]`, the student's.

    Returns:
        Scalar float32: the mean over the batch, in nats.
    """
    # Probabilities that underflowed to zero would make the divergence infinite.
    log_target = tf.math.log(tf.maximum(tf.stop_gradient(target), 1e-12))
    log_student = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    return tf.reduce_mean(tf.reduce_sum(tf.exp(log_student) * (log_student - log_target), axis=-1))
