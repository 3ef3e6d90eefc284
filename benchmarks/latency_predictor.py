"""How far predicted latencies are off what LiteRT takes, on structures that the predictor was not fitted to.

    python -m benchmarks.latency_predictor --model=mobilenet_v2 --resolutions=224,192,160,128 --work=FOLDER

`ofar measure_device` answers the same on an idle machine, from wall time. This answers it on a busy one: it counts the
processor time of a single thread, the least of several interleaved rounds, which others' load hardly changes; and it
converts the network once, and cuts the constants of that file for every other structure, which gives the operators and
shapes that the converter gives (`--check=N` converts N structures and compares).
"""

import argparse
import csv
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_litert.tools import flatbuffer_utils

from ofar_tf import models
from ofar_tf.conversion.converter import convert
from ofar_tf.pruning.channel_groups import ChannelGroups, WeightChannels, find_channel_groups
from ofar_tf.pruning.channel_mask import MaskRules
from ofar_tf.pruning.operator_kinds import DENSE, DEPTHWISE, operator_kinds
from ofar_tf.pruning.operator_work import OperatorWork
from ofar_tf.run.device.predictor_fit import fit_coefficients, unseen_error
from ofar_tf.run.device.random_structures import DrawnStructure, draw_structures, random_network
from ofar_tf.tflite.latency import this_machine

OPERATORS = schema.BuiltinOperator
WITH_KERNEL = (OPERATORS.CONV_2D, OPERATORS.DEPTHWISE_CONV_2D, OPERATORS.FULLY_CONNECTED)
WARM_UP, RUNS = 2, 12


def kernels_in_order(groups: ChannelGroups) -> Iterator[tuple[str, WeightChannels]]:
    for call, kind in zip(groups.calls, operator_kinds(groups.calls), strict=True):
        kernel = getattr(call.operation, "kernel", None)
        if kernel is not None:
            yield str(kind), groups.weights[groups.weight_index[id(kernel)]]


def shape_in_file(kind: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if kind == DENSE:
        return shape[1], shape[0]
    return (1, *shape[:2], shape[2] * shape[3]) if kind == DEPTHWISE else (shape[3], *shape[:3])


def cut(whole: Path, groups: ChannelGroups, drawn: DrawnStructure) -> bytes:
    """Makes a structure's file of the whole network's: its first channels, at its resolution."""
    model = flatbuffer_utils.read_model(str(whole))
    graph, keep, left = model.subgraphs[0], np.append(drawn.mask.keep, True), list(kernels_in_order(groups))

    def kept(entry: WeightChannels, axis: int) -> np.ndarray:
        return np.flatnonzero(keep[entry.axes[axis]]) if axis in entry.axes else np.arange(entry.shape[axis])

    def replace(tensor: Any, change: Any) -> None:
        values = np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.float32).reshape(tensor.shape)
        values = np.ascontiguousarray(change(values))
        model.buffers[tensor.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
        tensor.shape = np.array(values.shape, np.int32)

    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        if (builtin := max(code.builtinCode, code.deprecatedBuiltinCode)) not in WITH_KERNEL:
            continue
        kernel, bias = (graph.tensors[index] for index in operator.inputs[1:3])
        kind, entry = match = next(
            (kind, entry)
            for kind, entry in left
            if shape_in_file(kind, entry.shape) == tuple(kernel.shape)
            and (kind == DEPTHWISE) == (builtin == OPERATORS.DEPTHWISE_CONV_2D)
        )
        left.remove(match)
        outputs = kept(entry, {DENSE: 1, DEPTHWISE: 2}.get(kind, 3))
        inputs = slice(None) if kind == DEPTHWISE else kept(entry, 0 if kind == DENSE else 2)
        if kind == DEPTHWISE:
            replace(kernel, lambda values, outputs=outputs: values[..., outputs])
        else:
            replace(kernel, lambda values, outputs=outputs, inputs=inputs: values[outputs][..., inputs])
        replace(bias, lambda values, outputs=outputs: values[outputs])
    if left:
        raise ValueError(f"Expected every kernel in the file. Received: none of {[entry.path for _, entry in left]}.")
    graph.tensors[graph.inputs[0]].shape = np.array([1, drawn.resolution.height, drawn.resolution.width, 3], np.int32)
    return with_shapes(model)


def with_shapes(model: Any) -> bytes:
    """Writes the shapes that follow from the constants; delegates go by what is in the file."""
    for tensor in model.subgraphs[0].tensors:
        tensor.shapeSignature = None
    content = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    tensors = model.subgraphs[0].tensors
    for found in interpreter.get_tensor_details():
        if found["index"] < len(tensors):
            tensors[found["index"]].shape = np.array(found["shape"], np.int32)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def operators_of(content: bytes) -> list[tuple[int, list[tuple[int, ...]]]]:
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    graph = model.subgraphs[0]
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    tensors = [tuple(tensor.shape) for tensor in graph.tensors]
    return [
        (codes[each.opcodeIndex], [tensors[i] for i in (*each.inputs, *each.outputs) if i >= 0])
        for each in graph.operators
    ]


def processor_ms(path: Path) -> list[float]:
    """Returns milliseconds of processor time of some runs, rising."""
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    times = []
    for _ in range(WARM_UP + RUNS):
        begun = time.thread_time()
        interpreter.invoke()
        times.append(1000 * (time.thread_time() - begun))
    return sorted(times[WARM_UP:])


def in_rounds(files: list[Path], rounds: int) -> np.ndarray:
    """Returns `[rounds, files]`: the least time of each file in each round; every round begins with another file."""
    table = np.zeros((rounds, len(files)))
    for number in range(rounds):
        start = number * len(files) // rounds
        for index in (*range(start, len(files)), *range(start)):
            table[number, index] = processor_ms(files[index])[0]
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mobilenet_v2")
    parser.add_argument("--resolutions", default="224,192,160,128")
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--structures", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--check", type=int, default=0)
    parser.add_argument("--work", type=Path, required=True, help="A folder for the files and NAME.csv.")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    supernet = models.load(arguments.model, classes=arguments.classes)
    groups, whole = find_channel_groups(supernet), arguments.work / f"{arguments.model}.tflite"
    resolutions = list(map(int, arguments.resolutions.split(",")))
    drawn = draw_structures(groups, count=arguments.structures, resolutions=resolutions, rules=MaskRules(), seed=0)
    if not whole.exists():
        whole.write_bytes(convert(random_network(supernet, groups, drawn[0], seed=0), precision="float32"))
    files = [arguments.work / f"{arguments.model}_{index}.tflite" for index in range(len(drawn))]
    for path, each in zip(files, drawn, strict=True):
        path.write_bytes(cut(whole, groups, each))
    for index in range(1, 1 + arguments.check):
        converted = convert(random_network(supernet, groups, drawn[index], seed=index), precision="float32")
        print(
            f"{files[index].name}: as converted: {operators_of(converted) == operators_of(files[index].read_bytes())}"
        )
    loads = os.getloadavg()[0]
    least = in_rounds(files, arguments.rounds).min(axis=0)
    works = [OperatorWork(groups).of(each.mask, each.resolution) for each in drawn]
    coefficients = fit_coefficients(works, list(least))
    with (arguments.work / f"{arguments.model}.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["structure", "resolution", "macs", "measured_ms", "predicted_ms_left_out"])
        for index, (each, work) in enumerate(zip(drawn, works, strict=True)):
            others = fit_coefficients(works[:index] + works[index + 1 :], [*least[:index], *least[index + 1 :]])
            predicted = sum(others.get(name, 0.0) * amount for name, amount in work.items())
            macs = sum(int(amount) for name, amount in work.items() if name.endswith(".macs"))
            writer.writerow([index, each.resolution, macs, f"{least[index]:.4f}", f"{predicted:.4f}"])
    whole_work = {name: coefficients[name] * amount for name, amount in works[0].items() if coefficients[name]}
    print(f"{arguments.model} on {this_machine()}, load {loads:.1f} to {os.getloadavg()[0]:.1f}")
    print(f"{least.min():.3g} to {least.max():.3g} ms; {unseen_error(works, list(least))}")
    print("the whole network, ms: " + ", ".join(f"{name} {ms:.3g}" for name, ms in whole_work.items()))


if __name__ == "__main__":
    main()
