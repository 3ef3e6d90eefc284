"""What TensorFlow's converter quantizes by, put right before it does.

TensorFlow's calibrator notes what a tensor held after the operator that reads it has run. LiteRT lets a sum or product
write its result over what it reads, and the range noted is that of both: twice too wide or more for branches that are
added to something larger, and for images that a network scales by itself (measured on EfficientNet-Lite0: ten of 63
ranges). What is an output of the graph is never overwritten.

TensorFlow's quantizer for 8 bits gives what an operator reads the range of its result where both have one scale: what
`minimum(x, 0)` leaves out was cut off from whatever else reads `x`. So such a result has the range of what it is of.

Operators that rounding ruins stay in floats (`ofar_tf.conversion.float_operators`). The quantizer for 8 bits can be
told to leave them. That for 16 bits leaves those that it does not know, so they pass for one of these.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ai_edge_litert import schema_py_generated as schema
from tensorflow.lite.python import lite
from tensorflow.lite.python.optimize.calibrator import Calibrator

from ofar_tf.conversion.float_operators import KERNELS, float_operators, range_of
from ofar_tf.tflite.flatbuffer_file import kinds_of, read_model, write_model

_ONE_SCALE = frozenset(
    """
    AVERAGE_POOL_2D BATCH_TO_SPACE_ND BROADCAST_TO DEPTH_TO_SPACE EXPAND_DIMS GATHER GATHER_ND MAX_POOL_2D MAXIMUM
    MINIMUM MIRROR_PAD PAD PADV2 REDUCE_MAX REDUCE_MIN RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 SELECT
    SELECT_V2 SLICE SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQUEEZE STRIDED_SLICE TILE TRANSPOSE UNPACK
    """.split()  # noqa: SIM905, as in `ofar_tf.tflite.gpu_delegate`.
)
# It takes 16-bit integers for one of those that this has a kernel for.
_FLOATS_IN_16_BITS = "SQUARED_DIFFERENCE"
# One of those that TensorFlow leaves in floats there, with no options to be read.
_LEFT_IN_16_BITS = schema.BuiltinOperator.ELU


@contextmanager
def careful_quantizers() -> Iterator[None]:
    """While it is entered, the converters of this process quantize by true ranges, and leave what cannot be rounded."""
    before = Calibrator.calibrate, Calibrator.calibrate_and_quantize, lite._mlir_quantize
    calibrate, to_16_bits, to_8_bits = before

    def calibrate_apart(self: Any, samples: Callable[[], Any]) -> bytes:
        model = read_model(self._model_content)
        main = model.subgraphs[0]  # The others are the insides of loops, whose outputs are counted.
        own = list(main.outputs)
        main.outputs = [*own, *_overwritten(model, main)]
        calibrated = read_model(bytes(calibrate(Calibrator(write_model(model)), samples)))
        calibrated.subgraphs[0].outputs = own
        return write_model(calibrated)

    def leave_some(content: bytes, *settings: Any, **more: Any) -> bytes:
        model = read_model(bytes(content))
        floats = float_operators(model)
        _give_one_scale(model, apart=floats)
        graph = model.subgraphs[0]
        names = [graph.tensors[int(graph.operators[place].outputs[0])].name.decode() for place in sorted(floats)]
        # An empty list leaves nothing in integers.
        return bytes(to_8_bits(write_model(model), *settings, denylisted_nodes=names or None, **more))

    def disguise_some(self: Any, samples: Callable[[], Any], *settings: Any, **more: Any) -> bytes:
        model = read_model(calibrate_apart(self, samples))
        codes = _disguise(model)
        quantized = to_16_bits(Calibrator(write_model(model)), lambda: iter(()), *settings, **more)
        return _undisguised(bytes(quantized), codes)

    Calibrator.calibrate, Calibrator.calibrate_and_quantize = calibrate_apart, disguise_some
    lite._mlir_quantize = leave_some
    try:
        yield
    finally:
        Calibrator.calibrate, Calibrator.calibrate_and_quantize, lite._mlir_quantize = before


def _overwritten(model: Any, graph: Any) -> list[int]:
    """Lists the tensors that an operator may write over: what is computed, and read by anything but a kernel."""
    computed = {int(tensor) for operator in graph.operators for tensor in operator.outputs}
    read = {
        int(tensor)
        for kind, operator in zip(kinds_of(model), graph.operators, strict=True)
        if kind not in KERNELS  # They read each number several times, and never write over it.
        for tensor in operator.inputs
    }
    return sorted((computed & read) - set(map(int, graph.outputs)))


def _give_one_scale(model: Any, *, apart: set[int]) -> None:
    """Gives what operators without a scale of their own return the range of what they read."""
    graph = model.subgraphs[0]
    for place, (kind, operator) in enumerate(zip(kinds_of(model), graph.operators, strict=True)):
        if kind not in _ONE_SCALE or place in apart:
            continue
        read = [range_of(graph, tensor) for tensor in operator.inputs if tensor >= 0]
        for tensor in operator.outputs:
            ranges = [range_of(graph, tensor), *read]
            if ranges[0] != (0.0, 0.0):
                known = graph.tensors[int(tensor)].quantization
                known.min, known.max = [min(low for low, _ in ranges)], [max(high for _, high in ranges)]


def _disguise(model: Any) -> dict[str, Any]:
    """Makes operators that are to stay in floats look like one that does; returns what they are, by their results."""
    graph, kinds = model.subgraphs[0], kinds_of(model)
    floats = float_operators(model) | {place for place, kind in enumerate(kinds) if kind == _FLOATS_IN_16_BITS}
    codes = {}
    model.operatorCodes.append(_code(_LEFT_IN_16_BITS))
    for place in floats:
        operator = graph.operators[place]
        codes[graph.tensors[int(operator.outputs[0])].name] = model.operatorCodes[operator.opcodeIndex]
        operator.opcodeIndex = len(model.operatorCodes) - 1
    _keep_used_codes(model)
    return codes


def _undisguised(content: bytes, codes: dict[str, Any]) -> bytes:
    model = read_model(content)
    for operator in model.subgraphs[0].operators:
        name = model.subgraphs[0].tensors[int(operator.outputs[0])].name
        if name in codes and model.operatorCodes[operator.opcodeIndex].builtinCode == _LEFT_IN_16_BITS:
            model.operatorCodes.append(codes[name])
            operator.opcodeIndex = len(model.operatorCodes) - 1
    _keep_used_codes(model)
    return write_model(model)


def _code(kind: int) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = kind
    code.version = 1
    return code


def _keep_used_codes(model: Any) -> None:
    """Drops the kinds of operators of which there is none: TensorFlow's quantizer refuses such files."""
    used = sorted({operator.opcodeIndex for graph in model.subgraphs for operator in graph.operators})
    for graph in model.subgraphs:
        for operator in graph.operators:
            operator.opcodeIndex = used.index(operator.opcodeIndex)
    model.operatorCodes = [model.operatorCodes[index] for index in used]
