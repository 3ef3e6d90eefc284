"""Where a quantized file loses accuracy: how far the output of each layer is from Keras's."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from ofar_tf.checks.layer_error import LayerError
from ofar_tf.checks.layer_outputs import LayerOutputs, layers_named
from ofar_tf.tflite.file_graph import constant_tensors, operator_names, read_subgraph

_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


def layer_errors(path: str | Path, reference: LayerOutputs, images: np.ndarray) -> tuple[LayerError, ...]:
    """Compares each layer's output in a file with Keras's.

    Operators are matched with layers by the names of their outputs, and by values where a name fits several layers.
    What a converter splits or joins so that no layer's output remains is left out. litert-quantizer compares two files
    in the same way, but pins one release of LiteRT, and TensorFlow's `QuantizationDebugger` converts anew.

    Args:
        path: The file.
        reference: The network it was made from.
        images: [N, r, r, 3], N >= 1, values in 0..255.

    Returns:
        One error for each layer that was found, in the order in which the file runs them.

    Raises:
        RuntimeError: If LiteRT cannot run the file.
        ValueError: If it is not a TFLite file.
    """
    file = _OpenFile(Path(path))
    candidates = _candidates(file, reference)
    noise = _noise(file, reference, candidates, images)
    matched = {output: min(found, key=found.__getitem__) for output, found in noise.items()}
    reached: dict[int, float] = {}
    errors = []
    for operator, inputs, output in file.steps:
        before = max((reached.get(tensor, 0.0) for tensor in inputs), default=0.0)
        reached[output] = noise[output][matched[output]] if output in matched else before
        if output in matched:
            added = max(0.0, reached[output] - before)
            layer, tensor = reference.names[matched[output]], file.name(output)
            errors.append(LayerError(layer, operator, reached[output], added, tensor))
    return tuple(errors)


class _OpenFile:
    """A file whose every tensor can be read after a run; without delegates, which keep theirs to themselves."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        subgraph, constant = read_subgraph(content), constant_tensors(content)
        self.steps = [
            (name, [tensor for tensor in _inputs(operator) if tensor not in constant], operator.Outputs(0))
            for name, operator in zip(operator_names(content), _operators(subgraph), strict=True)
        ]
        self._interpreter = Interpreter(
            model_path=str(path),
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        self._interpreter.allocate_tensors()
        self._details = {each["index"]: each for each in self._interpreter.get_tensor_details()}
        (self._input,) = self._interpreter.get_input_details()

    def name(self, tensor: int) -> str:
        return str(self._details[tensor]["name"])

    def shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(int(size) for size in self._details[tensor]["shape"][1:])

    def run(self, image: np.ndarray) -> None:
        kind = self._input["dtype"]
        stored = image.astype(kind) if np.issubdtype(kind, np.floating) else np.rint(image).astype(kind)
        self._interpreter.set_tensor(self._input["index"], stored)
        self._interpreter.invoke()

    def real(self, tensor: int) -> np.ndarray:
        values = self._interpreter.get_tensor(tensor).astype(np.float64)
        scale, zero_point = self._details[tensor]["quantization"]
        return (values - zero_point) * scale if scale else values


def _operators(subgraph: schema.SubGraph) -> list[schema.Operator]:
    return [subgraph.Operators(index) for index in range(subgraph.OperatorsLength())]


def _inputs(operator: schema.Operator) -> list[int]:
    return [operator.Inputs(position) for position in range(operator.InputsLength()) if operator.Inputs(position) >= 0]


def _candidates(file: _OpenFile, reference: LayerOutputs) -> dict[int, set[int]]:
    """Finds the layers that each operator's output may be: those it is the last to speak of, and what follows them."""
    positions = {name: index for index, name in enumerate(reference.names)}
    last: dict[str, int] = {}
    outputs = [output for operator, _, output in file.steps if operator not in _CONVERSIONS]
    for output in outputs:
        last.update(dict.fromkeys(layers_named(file.name(output), reference.names), output))
    found: dict[int, set[int]] = {output: set() for output in outputs}
    for name, output in last.items():
        found[output] |= {positions[name], *reference.folded_into(positions[name])}
    if outputs and not found[outputs[-1]]:  # The last one bears the name of the whole network.
        found[outputs[-1]] = {len(reference.names) - 1}
    return {
        output: fitting
        for output, layers in found.items()
        if (fitting := {layer for layer in layers if reference.shapes[layer] == file.shape(output)})
    }


def _noise(
    file: _OpenFile, reference: LayerOutputs, candidates: Mapping[int, set[int]], images: np.ndarray
) -> dict[int, dict[int, float]]:
    """Runs file and network and returns the noise of each output as a version of each candidate."""
    pairs = [(output, layer) for output, layers in candidates.items() for layer in layers]
    energies = np.zeros((2, len(pairs)))
    for image in images:
        expected = reference.of(image[np.newaxis])
        file.run(image[np.newaxis])
        for index, (output, layer) in enumerate(pairs):
            truth = expected[layer].astype(np.float64)
            energies[:, index] += np.sum(np.square(file.real(output) - truth)), np.sum(np.square(truth))
    noise: dict[int, dict[int, float]] = {}
    for (output, layer), (difference, signal) in zip(pairs, energies.T, strict=True):
        if signal > 0 and math.isfinite(difference):
            noise.setdefault(output, {})[layer] = float(difference / signal)
    return noise
