"""Which operators of a file LiteRT's GPU delegate would leave to the CPU.

TensorFlow's own answer, `tf.lite.experimental.Analyzer(gpu_compatibility=True)`, calls everything compatible (DESIGN
section 4). So this is a list of our own, of what the delegate's documentation and its public sources
(`delegates/gpu/common/model_builder.cc`, `tools/versioning/gpu_compatibility.cc`) accept, as of LiteRT 2. Nothing of it
was run on a GPU.
"""

from collections.abc import Iterator

from ai_edge_litert import schema_py_generated as schema

from ofar_tf.tflite.file_graph import constant_tensors, operator_names, read_subgraph

SUPPORTED = frozenset(
    """
    ABS ADD ADD_N AVERAGE_POOL_2D BATCH_MATMUL CAST CONCATENATION CONV_2D COS CUMSUM DENSIFY DEPTHWISE_CONV_2D
    DEPTH_TO_SPACE DEQUANTIZE DIV ELU EQUAL EXP FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GELU GREATER
    GREATER_EQUAL HARD_SWISH LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGISTIC LSTM MAXIMUM MAX_POOL_2D MEAN MINIMUM
    MIRROR_PAD MUL NEG NOT_EQUAL ONE_HOT PACK PAD PADV2 POW PRELU QUANTIZE REDUCE_MAX REDUCE_MIN REDUCE_PROD RELU RELU6
    RELU_0_TO_1 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR RSQRT SELECT SELECT_V2 SIGN SIN SLICE
    SOFTMAX SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE STRIDED_SLICE SUB SUM TANH TILE TRANSPOSE
    TRANSPOSE_CONV UNPACK
    """.split()  # noqa: SIM905, eighty lines would not be easier to read.
)
"""The operators that the delegate has a kernel for, by their names in the schema."""

_TYPES = {code: name for name, code in vars(schema.TensorType).items() if isinstance(code, int)}
_FLOWING = {"FLOAT32", "FLOAT16", "INT8", "UINT8"}  # 8 bits as the delegate is set by default: it computes in floats.
_ALSO = {
    "CAST": {"BOOL", "INT32"},
    "ONE_HOT": {"INT32"},
    "GATHER": {"INT32"},
    **{name: {"BOOL"} for name in ("SELECT", "SELECT_V2", "LOGICAL_AND", "EQUAL", "NOT_EQUAL")},
    **{name: {"BOOL"} for name in ("GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")},
}
_CONSTANT_SECOND = {"MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "PAD", "PADV2", "MIRROR_PAD"}
_MOST_AXES = 4


def gpu_refused(content: bytes) -> dict[str, str]:
    """Lists the operators that the delegate would leave to the CPU.

    One refused operator in the middle splits a network between the processors, and each crossing costs time.

    Args:
        content: The whole file.

    Returns:
        Why, by the name of the operator, in alphabetical order; empty where the delegate would take the whole file.

    Raises:
        ValueError: If it is not a TFLite file.
    """
    constant, subgraph = constant_tensors(content), read_subgraph(content)
    refused: dict[str, str] = {}
    for index, name in enumerate(operator_names(content)):
        for reason in _reasons(name, subgraph.Operators(index), subgraph, constant):
            refused.setdefault(name, reason)
    return dict(sorted(refused.items()))


def _reasons(
    name: str, operator: schema.Operator, subgraph: schema.SubGraph, constant: frozenset[int]
) -> Iterator[str]:
    if name not in SUPPORTED:
        yield "has no kernel"
        return
    inputs = [operator.Inputs(position) for position in range(operator.InputsLength())]
    outputs = [operator.Outputs(position) for position in range(operator.OutputsLength())]
    allowed = _FLOWING | _ALSO.get(name, set())
    for index in (*inputs, *outputs):
        if index < 0 or index in constant:
            continue
        tensor = subgraph.Tensors(index)
        if (kind := _TYPES[tensor.Type()]) not in allowed:
            yield f"takes no {kind.lower()}"
        if tensor.ShapeLength() > _MOST_AXES:
            yield f"takes no tensor of {tensor.ShapeLength()} axes"
        if kind in ("INT8", "UINT8") and (scales := tensor.Quantization()) is not None and scales.ScaleLength() > 1:
            yield "takes no activations with a scale for each channel"
    if name in _CONSTANT_SECOND and inputs[1] not in constant:
        yield "takes axes and margins only as constants"
