"""A TFLite image classifier, run through LiteRT with images in 0..255 whatever its input type."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ofar_tf.tflite.network_file import TFLiteNetwork


class TFLiteClassifier:
    """A TFLite file with one image input and one output of class scores.

    Args:
        path: The file.
        allocate: Whether to make it ready to run; without, only `input` and `output` can be read.

    Attributes:
        input: The image, [1, h, w, 3], values in 0..255.
        output: The scores, [1, K], values in 0..1.

    Raises:
        ValueError: If the file is not TFLite or has several inputs or outputs.
        RuntimeError: If LiteRT cannot make it ready, for instance for want of an operator.
    """

    def __init__(self, path: str | Path, *, allocate: bool = True) -> None:
        self._network = TFLiteNetwork(path, allocate=allocate)
        if len(self._network.outputs) != 1:
            raise ValueError(
                f"Expected one input and one output. Received: 1 and {len(self._network.outputs)} in {path}."
            )
        self.input = self._network.input
        self.output = replace(self._network.outputs[0], range=(0.0, 1.0))

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Runs the file on images, one after the other.

        Args:
            images: [B, h, w, 3], values in 0..255, uint8 or float.

        Returns:
            [B, K] float32, real values.
        """
        found: np.ndarray = self._network.run(images)
        return found
