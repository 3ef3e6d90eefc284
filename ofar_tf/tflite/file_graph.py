"""What a TFLite file consists of, read from its bytes without running it."""

from collections.abc import Iterator
from dataclasses import dataclass

from ai_edge_litert import schema_py_generated as schema

_NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
_STATEFUL_WORDS = ("VARIABLE", "VAR_HANDLE", "HASHTABLE", "CALL_ONCE")


@dataclass(frozen=True)
class FileGraph:
    """The operators and shapes of a file.

    Attributes:
        operators: How often each operator occurs, by its name in the schema; custom and Flex operators by their own
            name.
        custom: The names of those that are not builtin.
        stateful: The names of those that keep or read a variable or table: a converted classifier has none unless its
            weights were lost.
        dynamic_tensors: The names of tensors whose shape is not static.
    """

    operators: dict[str, int]
    custom: tuple[str, ...]
    stateful: tuple[str, ...]
    dynamic_tensors: tuple[str, ...]


def read_graph(content: bytes) -> FileGraph:
    """Reads the operators and shapes of a TFLite file.

    Args:
        content: The whole file.

    Returns:
        Its graph, all subgraphs together.

    Raises:
        ValueError: If it is not a TFLite file.
    """
    model = _model(content)
    subgraphs = [model.Subgraphs(index) for index in range(model.SubgraphsLength())]
    operators: dict[str, int] = {}
    custom = set()
    for subgraph in subgraphs:
        for name, is_custom in _operators(model, subgraph):
            operators[name] = operators.get(name, 0) + 1
            custom.update([name] if is_custom else [])
    return FileGraph(
        operators=dict(sorted(operators.items())),
        custom=tuple(sorted(custom)),
        stateful=tuple(name for name in sorted(operators) if any(word in name for word in _STATEFUL_WORDS)),
        dynamic_tensors=tuple(name for subgraph in subgraphs for name in _dynamic_tensors(subgraph)),
    )


def read_subgraph(content: bytes) -> schema.SubGraph:
    """Opens the first graph of a TFLite file; our converted networks have no other.

    Args:
        content: The whole file.

    Returns:
        The graph as the file holds it.

    Raises:
        ValueError: If it is not a TFLite file.
    """
    return _model(content).Subgraphs(0)


def operator_names(content: bytes) -> list[str]:
    """Names the operators of the first graph in the order in which they run.

    Args:
        content: The whole file.

    Returns:
        Names of the schema; custom and Flex operators by their own.

    Raises:
        ValueError: If it is not a TFLite file.
    """
    return [name for name, _ in _operators(_model(content), read_subgraph(content))]


def constant_tensors(content: bytes) -> frozenset[int]:
    """Finds the tensors of a file whose values are stored in it.

    Args:
        content: The whole file.

    Returns:
        Their indices in the first subgraph.

    Raises:
        ValueError: If it is not a TFLite file.
    """
    model, subgraph = _model(content), read_subgraph(content)
    tensors = ((index, subgraph.Tensors(index).Buffer()) for index in range(subgraph.TensorsLength()))
    return frozenset(index for index, buffer in tensors if _is_filled(model.Buffers(buffer)))


def _is_filled(buffer: schema.Buffer) -> bool:
    # Quantized files store the content behind the model and tell where.
    return buffer.DataLength() > 0 or buffer.Size() > 1


def _model(content: bytes) -> schema.Model:
    if len(content) < 8 or content[4:8] != b"TFL3":
        raise ValueError(f"Expected a TFLite file, with TFL3 as bytes 4 to 7. Received: {content[:8]!r}.")
    return schema.Model.GetRootAs(content, 0)


def _operators(model: schema.Model, subgraph: schema.SubGraph) -> Iterator[tuple[str, bool]]:
    for index in range(subgraph.OperatorsLength()):
        code = model.OperatorCodes(subgraph.Operators(index).OpcodeIndex())
        # Old files hold the code in a byte, new ones in an int: the schema says to take the larger.
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        is_custom = builtin == schema.BuiltinOperator.CUSTOM
        yield (code.CustomCode().decode() if is_custom else _NAMES[builtin]), is_custom


def _dynamic_tensors(subgraph: schema.SubGraph) -> Iterator[str]:
    for index in range(subgraph.TensorsLength()):
        tensor = subgraph.Tensors(index)
        signature = [tensor.ShapeSignature(axis) for axis in range(tensor.ShapeSignatureLength())]
        if -1 in signature:
            yield tensor.Name().decode()
