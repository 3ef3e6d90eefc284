"""A layer of a user's that trains, and that nothing can make from its config."""

from typing import Any

import keras


@keras.saving.register_keras_serializable("tests")
class Demanding(keras.layers.Layer):
    """Says nothing of what it was made with."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(1,), initializer="ones", name="scale")

    def call(self, x: Any) -> Any:
        return x * self.factor * keras.ops.cumsum(self.scale)
