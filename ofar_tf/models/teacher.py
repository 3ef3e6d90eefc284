"""A fixed network that teaches: read from a file, never trained, pruned or shipped."""

from typing import Any

import keras

from ofar_tf.models.logits import final_activation
from ofar_tf.models.user_model import as_supernet, read_file

# Of a probability, before its logarithm.
_LEAST = 1e-7


def read_teacher(path: str, *, classes: int) -> keras.Model:
    """Reads a classifier that is to teach another.

    Args:
        path: A `.keras` file: a network of logits or, as exported families have them, of probabilities.
        classes: Number of classes of the data set.

    Returns:
        A functional model from RGB images `[batch, height, width, 3]` in 0..255 to logits `[batch, classes]`, none of
        whose weights can be trained.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no classifier of so many classes.
    """
    model = as_supernet(read_file(path), reference=path)
    outputs: Any = [tuple(tensor.shape) for tensor in model.outputs]
    if outputs != [(None, classes)]:
        raise ValueError(
            f"Expected a teacher that tells the {classes} classes of the data set apart. Received: {path} with output "
            f"shapes {outputs}."
        )
    activation = final_activation(model)
    if activation not in (None, "softmax"):
        raise ValueError(f"Expected a teacher of logits or of a softmax. Received: {path}, which ends in {activation}.")
    if activation == "softmax":
        # A softmax of the logarithms is the probabilities again.
        logits = keras.ops.log(keras.ops.maximum(model.outputs[0], _LEAST))
        model = keras.Model(model.input, logits, name=model.name)
    model.trainable = False
    return model
