"""Arithmetic that a GPU shortens: what is compared with files is computed in whole float32."""

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf


@contextmanager
def full_float32() -> Iterator[None]:
    """Computes products in float32 with all of its 24 bits; also usable as a decorator.

    TensorFlow lets GPUs round the factors of convolutions to the 11 bits of TensorFloat-32. Training does not suffer,
    but a network's scores then differ by a thousandth from those of its file, which a phone computes with all bits: on
    an H100, three float32 files of the quick start were said to differ from their networks.

    Yields:
        While products are exact; what was set before holds again afterwards.
    """
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
