"""Networks and files as functions from images to what they say, so that both are asked and judged alike."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.tasks.answers import Run
from ofar_tf.tflite.network_file import TFLiteNetwork


def keras_run(model: keras.Model) -> Run:
    """Makes a function that runs a Keras network in inference mode.

    Args:
        model: Images [batch, h, w, 3], values in 0..255, to outputs.

    Returns:
        Images [B, h, w, 3] to outputs as NumPy arrays; traced once for batches of any size.
    """

    # Not `predict_on_batch`, which traces anew for a last batch of another size.
    @tf.function(input_signature=[tf.TensorSpec(model.input_shape)], autograph=False)
    def forward(images: tf.Tensor) -> Any:
        return model(images, training=False)

    # TensorFlow takes the functions of several networks for one that is traced too often, unless they are concrete.
    concrete = forward.get_concrete_function()

    def run(images: Any, held: keras.Model = model) -> Any:  # A concrete function does not keep its variables.
        return keras.tree.map_structure(np.asarray, concrete(tf.cast(images, tf.float32)))

    return run


@contextmanager
def tflite_run(
    path: str | Path, *, ranges: Mapping[str, tuple[float, float]] | None = None, threads: int = 1
) -> Iterator[Run]:
    """Makes a function that runs a TFLite file through LiteRT.

    Args:
        path: The file.
        ranges: Of outputs that have bounds, by name.
        threads: How many images are run at once, each by an interpreter of its own (LiteRT releases Python's lock while
            it runs).

    Yields:
        Images [B, h, w, 3], values in 0..255, to outputs as NumPy arrays of real values.

    Raises:
        ValueError: If `threads` is below 1, or the file has several inputs.
        RuntimeError: If LiteRT cannot run it.
    """
    if threads < 1:
        raise ValueError(f"Expected at least one thread. Received: threads={threads}.")
    networks = [TFLiteNetwork(path, ranges=ranges) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as executor:

        def run(images: np.ndarray) -> Any:
            parts = np.array_split(images, threads)
            found = list(executor.map(lambda network, part: network.run(part), networks, parts))
            return keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *found)

        yield run
