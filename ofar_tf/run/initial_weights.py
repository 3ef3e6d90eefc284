"""What `--initial_weights` takes: a file with all weights of a supernet."""

from pathlib import Path

import keras
import numpy as np

from ofar_tf.models.user_code import one_line
from ofar_tf.models.user_model import as_supernet, read_file


def load_initial_weights(supernet: keras.Model, path: str) -> None:
    """Gives a supernet all weights of a file.

    Args:
        supernet: The network.
        path: A `.keras` or `.weights.h5` file of a network of the same shapes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it does not fit.
    """
    if path.endswith(".keras"):
        source = as_supernet(read_file(path), reference=path).weights
        if [tuple(w.shape) for w in source] != [tuple(w.shape) for w in supernet.weights]:
            raise ValueError(
                f"Expected --initial_weights of the shapes of {supernet.name}. Received: {path}, whose weights differ."
            )
        supernet.set_weights([np.asarray(weight) for weight in source])
        return
    if not path.endswith(".weights.h5") or not Path(path).is_file():
        raise FileNotFoundError(
            f"Expected --initial_weights to be a .keras or .weights.h5 file that exists. Received: {path!r}."
        )
    try:
        supernet.load_weights(path)
    except Exception as error:  # Keras raises many types; whatever it was, the file does not fit.
        raise ValueError(
            f"Expected --initial_weights that fit {supernet.name}. Received: {path}: {one_line(error)}"
        ) from error
