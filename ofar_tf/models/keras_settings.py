"""Keras' own settings, which a `keras.json` in the user's home may have changed for all programs."""

import keras


def use_standard_keras() -> None:
    """Sets what networks are built with to Keras' defaults: float32, channels last, an epsilon of 1e-7.

    A run is what its settings say: number formats are a setting of ours, and the rest must not depend on a machine.
    """
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.config.set_image_data_format("channels_last")
    keras.config.set_epsilon(1e-7)
