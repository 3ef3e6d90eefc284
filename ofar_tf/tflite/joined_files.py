"""Two TFLite files made one: what the first returns is what the second takes.

So a network whose numbers were rounded can be followed by one in floats, each converted by itself: the converter
rounds all of a graph or nothing of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ofar_tf.tflite.flatbuffer_file import read_model, write_model


def joined(first: bytes, second: bytes) -> bytes:
    """Joins two files.

    Args:
        first: A whole file with one graph and one signature.
        second: Another. The inputs of its signature have names, shapes and types of outputs of the first's.

    Returns:
        A file with the inputs of the first, the outputs of the second and the signature of both.

    Raises:
        ValueError: If an input of the second is no output of the first.
    """
    model, tail = read_model(first), read_model(second)
    graph, added = model.subgraphs[0], tail.subgraphs[0]
    outputs, inputs = (_tensors(ends) for ends in (model.signatureDefs[0].outputs, tail.signatureDefs[0].inputs))
    places = _join_tensors(graph, added, {inputs[name]: outputs.get(name) for name in inputs}, names=inputs)
    _move_buffers(model, tail, [graph.tensors[place] for old, place in enumerate(places) if old not in inputs.values()])
    codes = _join_codes(model, tail)
    for operator in added.operators:
        operator.opcodeIndex = codes[operator.opcodeIndex]
        operator.inputs = _moved(operator.inputs, places)
        operator.outputs = _moved(operator.outputs, places)
        graph.operators.append(operator)
    graph.outputs = _moved(added.outputs, places)
    model.signatureDefs[0].outputs = tail.signatureDefs[0].outputs
    for output in model.signatureDefs[0].outputs:
        output.tensorIndex = places[output.tensorIndex]
    return write_model(model)


def _tensors(ends: Sequence[Any]) -> dict[str, int]:
    return {end.name.decode(): end.tensorIndex for end in ends}


def _join_tensors(graph: Any, added: Any, joints: Mapping[int, int | None], *, names: Mapping[str, int]) -> list[int]:
    """Appends tensors to a graph; returns the place of each, for those that the graph has already theirs."""
    missing = [name for name, index in names.items() if joints[index] is None]
    if missing:
        raise ValueError(f"Expected a file that returns what the next one takes. Received: no {', '.join(missing)}.")
    places = []
    for index, tensor in enumerate(added.tensors):
        place = joints.get(index)
        if place is not None:
            _refuse_misfit(graph.tensors[place], tensor)
        else:
            place = len(graph.tensors)
            graph.tensors.append(tensor)
        places.append(place)
    return places


def _refuse_misfit(output: Any, taken: Any) -> None:
    if output.type != taken.type or list(output.shape) != list(taken.shape):
        raise ValueError(
            f"Expected an output of shape {list(taken.shape)} and the type of the input that it becomes. "
            f"Received: {list(output.shape)}, types {output.type} and {taken.type}."
        )


def _move_buffers(model: Any, tail: Any, tensors: Sequence[Any]) -> None:
    """Appends the contents of tensors that were added; the first buffer of a file is empty, for those without any."""
    moved: dict[int, int] = {0: 0}
    for tensor in tensors:
        if tensor.buffer not in moved:
            moved[tensor.buffer] = len(model.buffers)
            model.buffers.append(tail.buffers[tensor.buffer])
        tensor.buffer = moved[tensor.buffer]


def _join_codes(model: Any, tail: Any) -> list[int]:
    """Appends the kinds of operators that the model has not; returns the place of each of the tail's."""
    places = []
    for code in tail.operatorCodes:
        known = [_identity(each) for each in model.operatorCodes]
        if _identity(code) not in known:
            model.operatorCodes.append(code)
        places.append([*known, _identity(code)].index(_identity(code)))
    return places


def _identity(code: schema.OperatorCodeT) -> tuple[Any, ...]:
    return code.builtinCode, code.deprecatedBuiltinCode, code.customCode, code.version


def _moved(indices: Any, places: Sequence[int]) -> np.ndarray:
    """Renumbers tensors; -1 stands for an input that an operator does without."""
    return np.array([places[index] if index >= 0 else -1 for index in indices], np.int32)
