"""An optimizer that says what it was given."""

import keras
import numpy as np


class RecordingSGD(keras.optimizers.SGD):
    """Keeps the gradients it was given."""

    def apply(self, grads, trainable_variables=None):
        self.given = [np.asarray(gradient) for gradient in grads]
        super().apply(grads, trainable_variables)
