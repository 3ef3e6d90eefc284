"""A float file of a classifier, rounded by litert-quantizer: so many bits for each layer."""

import re
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from ofar_tf.conversion.precision import DEFAULT_ALGORITHM
from ofar_tf.files.scratch_folder import scratch_folder
from ofar_tf.tflite.file_graph import operator_names, read_subgraph
from ofar_tf.tflite.network_file import TFLiteNetwork

PACKAGE = "litert_quantizer"

# By whose algorithm the weights of an operator are rounded; all others, and the rest, to the largest value they hold.
_OPERATORS: dict[str, dict[str, str]] = {
    "min_max": {},
    "octav": dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"), "OCTAV"),
    "gptq": {"FULLY_CONNECTED": "GPTQ"},
}

_SIGNATURE, _INPUT = "serve", "image"
_FOR_GPTQ = ("hessian", "num_samples")


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


class Samples:
    """A float file, and the images that it is rounded with.

    Args:
        content: The file.
        images: `[N, r, r, 3]`, values in 0..255.
        algorithm: One of `ofar_tf.conversion.precision.ALGORITHMS`.

    Attributes:
        scores: `[N, K]`, what the float file gives.
    """

    def __init__(self, content: bytes, images: np.ndarray, *, algorithm: str = DEFAULT_ALGORITHM):
        self._content = content
        self._images = np.asarray(images, np.float32)
        self._algorithms = _OPERATORS[algorithm]
        self._ranges: Any = None
        self.scores = self._scores_of(content)

    def answers_of(self, content: bytes) -> np.ndarray:
        """Returns int `[N]`: the classes that a file names."""
        return self._scores_of(content).argmax(axis=1)

    def _scores_of(self, content: bytes) -> np.ndarray:
        with scratch_folder("rounded") as folder:
            path = folder / "file.tflite"
            path.write_bytes(content)
            scores: np.ndarray = TFLiteNetwork(path).run(self._images)
            return scores

    def quantized(self, bits: Bits) -> bytes:
        """Makes the file of an assignment of bits."""
        quantizer = self._quantizer(bits)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # LiteRT's, of the memory that it takes to look at every tensor.
            if self._ranges is None:  # Those of 8 bits everywhere are those of any other assignment.
                self._ranges = self._measured()
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

    def _measured(self) -> dict[str, dict[str, Any]]:
        """Measures what each tensor holds: the least and the largest value that it ever has.

        Left to itself the library takes a moving average over the images, which cuts activations off: on the quick
        start that cost three points of accuracy in 8 bits.
        """
        from litert_quantizer.calibrator import Calibrator
        from litert_quantizer.recipe_manager import RecipeManager
        from litert_quantizer.utils.qsv_utils import min_max_update

        recipe = RecipeManager()
        recipe.load_quantization_recipe(self._quantizer(Bits(), measuring=True).get_quantization_recipe())
        calibrator = Calibrator(self._content, num_threads=1, qsv_update_func=min_max_update)
        calibrator.calibrate(self._data(), recipe)
        ranges: dict[str, dict[str, Any]] = calibrator.get_model_qsvs()
        for name, found in self._measured_for_gptq().items():
            ranges[name] |= {key: found[key] for key in _FOR_GPTQ if key in found}
        return ranges

    def _measured_for_gptq(self) -> dict[str, dict[str, Any]]:
        """Measures what dense layers read.

        By itself: together with other operators the library would forget it, and write floats where integers belong.
        """
        from litert_quantizer.algorithm_manager import AlgorithmName
        from litert_quantizer.qtyping import TFLOperationName
        from litert_quantizer.quantizer import Quantizer

        if "GPTQ" not in self._algorithms.values():
            return {}
        quantizer = Quantizer(self._content)
        for operator in self._algorithms:
            quantizer.add_static_config(".*", TFLOperationName[operator], 8, 8, algorithm_key=AlgorithmName.GPTQ)
        measured: dict[str, dict[str, Any]] = quantizer.calibrate(self._data(), num_threads=1)
        return measured

    def _quantizer(self, bits: Bits, *, measuring: bool = False) -> Any:
        # Loaded where it is needed: it is an extra.
        from litert_quantizer.algorithm_manager import AlgorithmName
        from litert_quantizer.qtyping import TFLOperationName
        from litert_quantizer.quantizer import Quantizer

        quantizer = Quantizer(self._content)
        quantizer.add_static_config(".*", TFLOperationName.ALL_SUPPORTED, 8, 8)
        algorithms = {} if measuring else {op: AlgorithmName[name] for op, name in self._algorithms.items()}
        for operator, algorithm in algorithms.items():
            quantizer.add_static_config(".*", TFLOperationName[operator], 8, 8, algorithm_key=algorithm)
        for layer in bits.fours:
            algorithm = algorithms.get(layer.operator, AlgorithmName.MIN_MAX_UNIFORM_QUANT)
            operator = TFLOperationName[layer.operator]
            quantizer.add_static_config(_only(layer), operator, 8, 4, algorithm_key=algorithm)
        keep = AlgorithmName.NO_QUANTIZE
        for edge in (TFLOperationName.INPUT, TFLOperationName.OUTPUT):
            quantizer.update_quantization_recipe(".*", edge, algorithm_key=keep)
        for layer in bits.floats:
            quantizer.update_quantization_recipe(_only(layer), TFLOperationName.ALL_SUPPORTED, algorithm_key=keep)
        return quantizer


def _only(layer: Layer) -> str:
    return f"(^|;){re.escape(layer.name)}(;|$)"  # An operator is called by its outputs, with semicolons.


def _number(value: Any) -> float:
    found = value["snr"] if isinstance(value, dict) else value
    return float(np.mean(found))
