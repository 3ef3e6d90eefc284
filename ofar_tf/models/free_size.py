"""Models that were built for one image size and can run at any."""

import keras
import numpy as np

from ofar_tf.models.flattening import flattened
from ofar_tf.models.resolution import fixed_size

# EfficientNet and DenseNet of keras.applications can only be built at a known size, though any would do.


def with_free_size(model: keras.Model, *, reference: str) -> keras.Model:
    """Frees the height and width of a model's input, where every layer allows that.

    What was computed from the size when the model was built, such as an uneven padding, stays: at the old size the
    outputs are the same.

    Args:
        model: A flat float32 model of one square input.
        reference: What the user calls it, for the errors.

    Returns:
        A model of the same layers that takes any size; the same model if it does already, or if one of its layers needs
        the size it was built for.
    """
    size = fixed_size(model)
    if size is None:
        return model
    try:
        free = flattened(model, shape=(None, None, 3), reference=reference)
        np.testing.assert_allclose(_outputs(free, size), _outputs(model, size), rtol=1e-4, atol=1e-4)
        # An unknown size passes many checks that a wrong one does not, and a reshape may make of one image several.
        if len(_outputs(free, 2 * size)) != 1:
            return model
    except Exception:  # Layers raise many types; whatever it was, one of them needs its size.
        return model
    return free if free.output_shape == model.output_shape else model


def _outputs(model: keras.Model, size: int) -> np.ndarray:
    images = np.random.default_rng(0).uniform(0.0, 255.0, (1, size, size, 3)).astype(np.float32)
    return np.asarray(model(images, training=False))
