"""The smallest file whose answers stay those of its float parent: 4, 8 or 32 bits, layer by layer.

By litert-quantizer, which quantizes a float `.tflite` file after a recipe of patterns of layers. Which layer gets how
many bits is found here, on the representative images, without labels.
"""

import re
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ofar_tf.tflite.classifier import TFLiteClassifier
from ofar_tf.tflite.file_graph import operator_names, read_subgraph

PACKAGE = "litert_quantizer"
MOST_CHANGED = 0.005
"""Largest share of the images whose answer may change: half a point of accuracy cannot be lost with fewer."""

_SIGNATURE, _INPUT = "serve", "image"
# What litert-quantizer's policy has 4-bit weights for, with 8-bit activations.
_FOUR_BITS = ("CONV_2D", "FULLY_CONNECTED")


def require_quantizer() -> None:
    """Makes sure that litert-quantizer is there.

    Raises:
        ValueError: If it is not installed.
    """
    if find_spec(PACKAGE) is None:
        raise ValueError(
            "Expected litert-quantizer for precision=mixed: pip install 'ofar-tf[quantization]'. Received: none."
        )


@dataclass(frozen=True)
class Layer:
    """An operator of a file, as recipes name it.

    Attributes:
        name: Of its output.
        operator: Its kind, `CONV_2D` for instance.
        weights: How many numbers its constants hold.
    """

    name: str
    operator: str
    weights: int


@dataclass(frozen=True)
class Bits:
    """Which layers are not in 8 bits.

    Attributes:
        floats: Those that stay in 32-bit floats.
        fours: Those whose weights have 4 bits.
    """

    floats: tuple[Layer, ...] = ()
    fours: tuple[Layer, ...] = ()


def mixed_precision(content: bytes, images: np.ndarray) -> bytes:
    """Quantizes a float file, as far as its answers stay.

    If 8 bits everywhere keep them, the weights of as many layers as possible get 4 bits, the largest first. If not, as
    few layers as possible stay in floats, those first that rounding hurts most. Both numbers are found by bisection.

    Args:
        content: A float32 `.tflite` file of a classifier.
        images: `[N, r, r, 3]`, values in 0..255: the ranges are measured on them, and the answers compared.

    Returns:
        The file, with float input and output: the smallest of those tried that change the answers of at most
        `MOST_CHANGED` of the images.

    Raises:
        ValueError: If litert-quantizer is not installed.
    """
    require_quantizer()
    samples = _Samples(content, images)
    search = _Search(samples)
    if search.keeps(Bits()):
        fours = sorted((each for each in layers_of(content) if each.operator in _FOUR_BITS), key=lambda e: -e.weights)
        search.most(len(fours), lambda count: Bits(fours=tuple(fours[:count])))
    else:
        hurt = samples.by_error(search.made[Bits()])
        search.fewest(len(hurt), lambda count: Bits(floats=tuple(hurt[:count])))
    return search.smallest()


def layers_of(content: bytes) -> list[Layer]:
    """Lists the operators of a file, in order."""
    graph = read_subgraph(content)
    layers = []
    for index, kind in enumerate(operator_names(content)):
        operator = graph.Operators(index)
        inputs = [graph.Tensors(operator.Inputs(place)) for place in range(operator.InputsLength())]
        sizes = [int(np.prod(each.ShapeAsNumpy())) for each in inputs[1:]]
        layers.append(Layer(graph.Tensors(operator.Outputs(0)).Name().decode(), kind, max(sizes, default=0)))
    return layers


class _Samples:
    """A float file, and the images that it is quantized with."""

    def __init__(self, content: bytes, images: np.ndarray):
        self._content = content
        self._images = np.asarray(images, np.float32)
        self._ranges: Any = None
        self.answers = self.answers_of(content)

    def answers_of(self, content: bytes) -> np.ndarray:
        """Returns int `[N]`: the classes that a file names."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "file.tflite"
            path.write_bytes(content)
            return TFLiteClassifier(path).scores(self._images).argmax(axis=1)

    def quantized(self, bits: Bits) -> bytes:
        """Makes the file of an assignment of bits."""
        quantizer = self._quantizer(bits)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # LiteRT's, of the memory that it takes to look at every tensor.
            if self._ranges is None:  # Those of 8 bits everywhere are those of any other assignment.
                self._ranges = self._quantizer(Bits()).calibrate(self._data(), num_threads=1)
            return bytes(quantizer.quantize(self._ranges if quantizer.need_calibration else None).quantized_model)

    def by_error(self, content: bytes) -> list[Layer]:
        """Sorts the layers by how much of their output rounding takes in a file, the worst first."""
        from litert_quantizer.quantizer import Quantizer, ValidationErrorMetric

        few = {_SIGNATURE: self._data()[_SIGNATURE][:8]}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compared = Quantizer(self._content, previous_quantized_model=content).validate(
                few, [ValidationErrorMetric.SNR], num_threads=1
            )
        noise = {name: -_number(value) for name, value in compared.get_all_tensor_results().items()}
        return sorted(layers_of(self._content), key=lambda layer: -noise.get(layer.name, -np.inf))

    def _data(self) -> dict[str, list[dict[str, np.ndarray]]]:
        return {_SIGNATURE: [{_INPUT: image[np.newaxis]} for image in self._images]}

    def _quantizer(self, bits: Bits) -> Any:
        # Loaded where it is needed: it is an extra.
        from litert_quantizer.algorithm_manager import AlgorithmName
        from litert_quantizer.qtyping import TFLOperationName
        from litert_quantizer.quantizer import Quantizer

        quantizer = Quantizer(self._content)
        quantizer.add_static_config(".*", TFLOperationName.ALL_SUPPORTED, 8, 8)
        for layer in bits.fours:
            quantizer.add_static_config(_only(layer), TFLOperationName[layer.operator], 8, 4)
        keep = AlgorithmName.NO_QUANTIZE
        for edge in (TFLOperationName.INPUT, TFLOperationName.OUTPUT):
            quantizer.update_quantization_recipe(".*", edge, algorithm_key=keep)
        for layer in bits.floats:
            quantizer.update_quantization_recipe(_only(layer), TFLOperationName.ALL_SUPPORTED, algorithm_key=keep)
        return quantizer


class _Search:
    """Tries assignments of bits, and remembers the files."""

    def __init__(self, samples: _Samples):
        self._samples = samples
        self.made: dict[Bits, bytes] = {}
        self._kept: dict[Bits, bool] = {}

    def keeps(self, bits: Bits) -> bool:
        """Tells whether a file of these bits gives the answers of its parent."""
        if bits not in self._kept:
            self.made[bits] = self._samples.quantized(bits)
            answers = self._samples.answers_of(self.made[bits])
            self._kept[bits] = bool(np.mean(answers != self._samples.answers) <= MOST_CHANGED)
        return self._kept[bits]

    def most(self, count: int, bits: Callable[[int], Bits]) -> None:
        """Looks for the largest number from 0 to count whose bits keep the answers; 0 does."""
        low, high = 0, count
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.keeps(bits(middle)) else (low, middle - 1)

    def fewest(self, count: int, bits: Callable[[int], Bits]) -> None:
        """Looks for the smallest number up to count whose bits keep the answers; count does."""
        low, high = 1, count
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.keeps(bits(middle)) else (middle + 1, high)
        self.keeps(bits(low))

    def smallest(self) -> bytes:
        """Returns the smallest file that keeps the answers; of none, the last resort: the one with most floats."""
        kept: Sequence[Bits] = [bits for bits, keeps in self._kept.items() if keeps]
        if kept:
            return min((self.made[bits] for bits in kept), key=len)
        return self.made[max(self.made, key=lambda bits: len(bits.floats))]


def _only(layer: Layer) -> str:
    return f"(^|;){re.escape(layer.name)}(;|$)"  # An operator is called by its outputs, with semicolons.


def _number(value: Any) -> float:
    found = value["snr"] if isinstance(value, dict) else value
    return float(np.mean(found))
