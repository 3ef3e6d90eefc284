"""Whether a TFLite file is what its Keras model promises."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ofar_tf.checks.verdict import FileChecks
from ofar_tf.conversion.precision import FLOAT32_TOLERANCE
from ofar_tf.tasks.interface import Difference, Shipped
from ofar_tf.text.size import Size
from ofar_tf.tflite.file_graph import FileGraph, read_graph
from ofar_tf.tflite.network_file import TFLiteNetwork
from ofar_tf.tflite.tensor_info import TensorInfo

_ROUNDING = 0.01  # An 8-bit score may exceed its range by a step of 1/256.


def check_file(
    tflite_path: str | Path,
    model: keras.Model,
    images: np.ndarray,
    *,
    task: Shipped,
    tolerance: float | None = FLOAT32_TOLERANCE,
) -> FileChecks:
    """Checks a TFLite file alone and against its Keras model.

    A conversion that lost the weights succeeds and gives a plausible file (DESIGN section 4), so every file is run.
    What is checked: it runs in LiteRT; its scores are finite and within their range; it has builtin operators only, no
    variables, static shapes and batch 1; a quantized input takes image bytes as they are (scale 1, zero point 0 of
    uint8); its scores are within the tolerance of Keras.

    Args:
        tflite_path: The file.
        model: The Keras model it was made from.
        images: [N, h, w, 3], N >= 1, values in 0..255.
        task: What its outputs are.
        tolerance: Largest accepted difference from Keras (`Shipped.compare`), for a classifier that of a probability;
            None for quantized files, which are judged by what they reach.

    Returns:
        What was found. A bad file is a result, not an exception.

    Raises:
        ValueError: If there are no images or they do not fit the model.
    """
    if not len(images) or images.shape[1:] != tuple(model.input_shape[1:]):
        raise ValueError(f"Expected images of shape [N, {model.input_shape[1:]}]. Received: {images.shape}.")
    graph = read_graph(Path(tflite_path).read_bytes())
    interface = TFLiteNetwork(tflite_path, allocate=False)
    outputs, run_error = _outputs(tflite_path, images, task)
    expected = keras.tree.map_structure(np.asarray, model(np.asarray(images, np.float32), training=False))
    finite = outputs is not None and _finite(outputs)
    size = Size.of(images.shape[1:3])
    difference = task.compare(expected, outputs, size=size) if finite and _finite(expected) else None
    reasons = [
        *_graph_reasons(graph, batch=interface.input.shape[0]),
        *_interface_reasons(interface.input),
        *([run_error] if run_error else []),
        *([] if outputs is None else _output_reasons(outputs, task, difference=difference, tolerance=tolerance)),
    ]
    return FileChecks(
        passed=not reasons,
        reasons=tuple(reasons),
        runs=outputs is not None,
        finite=finite,
        builtin_only=not graph.custom,
        stateless=not graph.stateful,
        static_shape=not graph.dynamic_tensors and interface.input.shape[0] == 1,
        operators=graph.operators,
        images=len(images),
        max_difference=difference.largest if difference else None,
        argmax_agreement=difference.agreement if difference else None,
        tolerance=tolerance,
    )


def _outputs(tflite_path: str | Path, images: np.ndarray, task: Shipped) -> tuple[Any, str | None]:
    try:
        return TFLiteNetwork(tflite_path, ranges=task.output_ranges).run(images), None
    except (RuntimeError, ValueError) as error:  # What LiteRT raises for a file that it cannot run.
        return None, f"LiteRT cannot run it: {' '.join(str(error).split()):.200}"


def _by_name(outputs: Any, task: Shipped) -> Mapping[str, np.ndarray]:
    return outputs if isinstance(outputs, Mapping) else {task.output_name: outputs}


def _finite(outputs: Any) -> bool:
    return all(bool(np.isfinite(array).all()) for array in keras.tree.flatten(outputs))


def _graph_reasons(graph: FileGraph, *, batch: int) -> list[str]:
    reasons = []
    if graph.custom:
        reasons.append(f"It needs operators that are not builtin: {', '.join(graph.custom)}.")
    if graph.stateful:
        reasons.append(f"It keeps variables, so its weights may be lost: {', '.join(graph.stateful)}.")
    if graph.dynamic_tensors:
        reasons.append(
            f"Its shapes are not static: those of {len(graph.dynamic_tensors)} tensors, "
            f"for instance {graph.dynamic_tensors[0]!r}."
        )
    elif batch != 1:
        reasons.append(f"Its batch is {batch}, not 1.")
    return reasons


def _interface_reasons(image: TensorInfo) -> list[str]:
    if image.scale is None or (image.scale == 1.0 and image.zero_point == np.iinfo(image.dtype).min):
        return []
    return [f"Its input does not take image bytes as they are: scale {image.scale:.6g}, zero point {image.zero_point}."]


def _output_reasons(
    outputs: Any, task: Shipped, *, difference: Difference | None, tolerance: float | None
) -> list[str]:
    if not _finite(outputs):
        numbers = np.concatenate([np.ravel(array) for array in keras.tree.flatten(outputs)])
        return [f"{np.mean(~np.isfinite(numbers)):.0%} of its scores are not finite."]
    if beyond := _beyond_range(outputs, task):
        return beyond
    if difference is None:
        return ["The Keras model's own scores are not finite."]
    if tolerance is not None and difference.largest > tolerance:
        return [f"Its scores differ from Keras by up to {difference.largest:.3g}; {tolerance:.3g} is accepted."]
    return []


def _beyond_range(outputs: Any, task: Shipped) -> list[str]:
    reasons = []
    for name, array in _by_name(outputs, task).items():
        low, high = task.output_ranges.get(name, (-np.inf, np.inf))
        if array.size and not low - _ROUNDING <= array.min() <= array.max() <= high + _ROUNDING:
            reached = f"they reach from {array.min():.4g} to {array.max():.4g}"
            reasons.append(f"Its {name} are not within {low:g} to {high:g}: {reached}.")
    return reasons
