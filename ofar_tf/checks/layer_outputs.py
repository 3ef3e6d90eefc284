"""What every layer of a Keras network gives, and which operator of a TFLite file computes it."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.models.functional_graph import replay

_FOLDED = (keras.layers.BatchNormalization, keras.layers.Rescaling)


class LayerOutputs:
    """The outputs of a functional model's layers, those of nested models included.

    Args:
        model: One image to scores.

    Attributes:
        names: The layers' names, in the order in which they run.
        shapes: The shapes of their outputs, without the batch.
    """

    def __init__(self, model: keras.Model) -> None:
        self._names: list[str] = []
        self._tensors: list[Any] = []
        self._folds: list[tuple[int, int]] = []
        image = keras.Input(batch_shape=model.inputs[0].shape)
        self._run(model, [image])
        self.names = tuple(self._names)
        self.shapes = [tuple(tensor.shape[1:]) for tensor in self._tensors]
        self._forward = tf.function(
            keras.Model(image, self._tensors),
            input_signature=[tf.TensorSpec([1, *model.input_shape[1:]])],
            autograph=False,
        )

    def of(self, image: np.ndarray) -> list[np.ndarray]:
        """Runs the network.

        Args:
            image: [1, r, r, 3], values in 0..255.

        Returns:
            The outputs, in the order of `names`.
        """
        return [np.asarray(output) for output in self._forward(tf.cast(image, tf.float32))]

    def folded_into(self, layer: int) -> Iterator[int]:
        """Yields the normalizations that follow a layer, which a converter may compute with it.

        Args:
            layer: Its position in `names`.

        Yields:
            Their positions.
        """
        for source, follower in self._folds:
            if source == layer:
                yield follower
                yield from self.folded_into(follower)

    def _run(self, model: keras.Model, inputs: list[Any]) -> Any:
        return replay(model, inputs, call=self._call).output

    def _call(self, layer: Any, *arguments: Any, **options: Any) -> Any:
        tensors = keras.tree.flatten(arguments)
        if isinstance(layer, keras.Model) and hasattr(layer, "inputs"):
            return self._run(layer, tensors)
        output = layer(*arguments, **options)
        if isinstance(output, keras.KerasTensor):
            if isinstance(layer, _FOLDED):
                sources = [index for index, tensor in enumerate(self._tensors) if tensor is tensors[0]]
                self._folds += [(source, len(self._tensors)) for source in sources]
            self._names.append(layer.name)
            self._tensors.append(output)
        return output


def layers_named(tensor_name: str, layers: Sequence[str]) -> set[str]:
    """Finds the layers that a tensor's name speaks of.

    A converter names a tensor by the operations that were fused to compute it, each a path of layers with an operation
    at its end, like `net_1/stem_bn_1/batchnorm/add_1`, and `;` between them. Keras numbers names that were used before,
    and fine-tuned files have `quant_step3_` before a name.

    Args:
        tensor_name: Name of a tensor in a TFLite file.
        layers: Names of all layers.

    Returns:
        Those of them that occur, with or without a number behind.
    """
    paths = (path.split("/")[:-1] for path in tensor_name.split(";"))
    parts = {re.sub(r"^quant_(step_?\d+_)?", "", part) for path in paths for part in path}
    return set(layers) & (parts | {re.sub(r"_\d+$", "", part) for part in parts})
