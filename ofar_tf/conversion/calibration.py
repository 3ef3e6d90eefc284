"""The ranges by which TensorFlow's converter quantizes, measured before anything is overwritten.

TensorFlow's calibrator notes what a tensor held after the operator that reads it has run. LiteRT lets a sum or product
write its result over what it reads, and the range noted is that of both: twice too wide or more for branches that are
added to something larger, and for images that a network scales by itself (measured on EfficientNet-Lite0: ten of 63
ranges). What is an output of the graph is never overwritten.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ai_edge_litert import schema_py_generated as schema
from tensorflow.lite.python.optimize import calibrator

from ofar_tf.tflite.flatbuffer_file import read_model, write_model

# They read each number several times, and never write over it.
_KERNELS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL")


@contextmanager
def true_ranges() -> Iterator[None]:
    """While it is entered, the converters of this process quantize 8-bit files by the true ranges."""
    calibrate = calibrator.Calibrator.calibrate

    def calibrate_apart(self: Any, samples: Callable[[], Any]) -> bytes:
        model = read_model(self._model_content)
        main = model.subgraphs[0]  # The others are the insides of loops, whose outputs are counted.
        own = list(main.outputs)
        main.outputs = [*own, *_overwritten(model, main)]
        calibrated = read_model(bytes(calibrate(calibrator.Calibrator(write_model(model)), samples)))
        calibrated.subgraphs[0].outputs = own
        return write_model(calibrated)

    calibrator.Calibrator.calibrate = calibrate_apart
    try:
        yield
    finally:
        calibrator.Calibrator.calibrate = calibrate


def _overwritten(model: Any, graph: Any) -> list[int]:
    """Lists the tensors that an operator may write over: what is computed, and read by anything but a kernel."""
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    computed = {int(tensor) for operator in graph.operators for tensor in operator.outputs}
    read = {
        int(tensor)
        for operator in graph.operators
        if names.get(model.operatorCodes[operator.opcodeIndex].builtinCode) not in _KERNELS
        for tensor in operator.inputs
    }
    return sorted((computed & read) - set(map(int, graph.outputs)))
