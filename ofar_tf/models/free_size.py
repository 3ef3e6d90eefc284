"""Models that were built for one image size and can run at any, as EfficientNet of `keras.applications`."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.devices.full_float32 import full_float32
from ofar_tf.models.flattening import flattened
from ofar_tf.models.functional_graph import graph_of, takes_training
from ofar_tf.models.resolution import fixed_size


@full_float32()
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

    Raises:
        ValueError: If it takes any size, but cannot be trained so.
    """
    size = fixed_size(model)
    if size is None:
        _check_trains(model, reference=reference)
        return model
    try:
        free = flattened(model, shape=(None, None, 3), reference=reference)
        np.testing.assert_allclose(_outputs(free, size), _outputs(model, size), rtol=1e-4, atol=1e-4)
        # An unknown size passes many checks that a wrong one does not, and a reshape may make of one image several.
        if len(_outputs(free, 2 * size)) != 1:
            return model
        _check_trains(free, reference=reference)
    except Exception:  # Layers raise many types; whatever it was, one of them needs its size.
        return model
    return free if free.output_shape == model.output_shape else model


def _outputs(model: keras.Model, size: int) -> np.ndarray:
    images = np.random.default_rng(0).uniform(0.0, 255.0, (1, size, size, 3)).astype(np.float32)
    return np.asarray(model(images, training=False))


def _check_trains(model: keras.Model, *, reference: str) -> None:
    """Refuses layers that must know the size of an image when they are traced, as some random ones of Keras' do."""
    for call in graph_of(model).calls:
        layer, given = call.operation, call.args[0] if call.args else None
        if not takes_training(layer) or getattr(layer, "weights", None) or not isinstance(given, keras.KerasTensor):
            continue
        for training in (True, False):
            try:
                _traced(layer, given, training=training)
            except Exception as error:  # Of a layer of the user's, any.
                raise ValueError(
                    "Expected a model that can be trained on images of any size, or one that is built for one size. "
                    f"Received: {reference}, whose layer {layer.name!r} of type {type(layer).__name__} needs the size."
                ) from error


def _traced(layer: Any, given: Any, *, training: bool) -> None:
    run = tf.function(lambda images: layer(images, training=training), autograph=False)
    run.get_concrete_function(tf.TensorSpec(given.shape, given.dtype))
