"""A network that is not trained and teaches the largest one."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from ofar_tf.data import resize_batch
from ofar_tf.data.color import LUMA
from ofar_tf.models.resolution import fixed_size
from ofar_tf.tasks.task import Nest


def teaching(teacher: keras.Model, task: Any, *, share: float) -> Callable[[tf.Tensor, Nest], Nest]:
    """Returns what adds to the targets of images what a fixed network says of them, at the size it was built for.

    Args:
        teacher: The network.
        task: What is learned; one that has `taught`.
        share: How much of the targets is the network's, in [0, 1].

    Returns:
        A function of images, float32 `[B, H, W, 3]`, 0..255, and their targets (`Task.targets`), to new targets.

    Raises:
        ValueError: If a fixed network cannot teach the task.
    """
    if not hasattr(task, "taught"):
        raise ValueError(f"Expected a task that a fixed network can teach. Received: {type(task).__name__}.")
    side, is_gray = fixed_size(teacher), teacher.inputs[0].shape[-1] == 1

    def teach(images: tf.Tensor, targets: Nest) -> Nest:
        size = tf.shape(images)[1:3] if side is None else tf.constant([side, side])
        seen = images if side is None else resize_batch(images, size)
        seen = tf.tensordot(seen, tf.constant(LUMA)[:, tf.newaxis], 1) if is_gray else seen
        return task.taught(targets, task.lesson(teacher(seen, training=False), size), share=share)

    return teach
