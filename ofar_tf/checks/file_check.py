"""Whether a TFLite file is what its Keras model promises."""

from pathlib import Path

import keras
import numpy as np

from ofar_tf.checks.verdict import FileChecks
from ofar_tf.conversion.precision import FLOAT32_TOLERANCE
from ofar_tf.tflite.classifier import TensorInfo, TFLiteClassifier
from ofar_tf.tflite.file_graph import FileGraph, read_graph

_ROUNDING = 0.01  # An 8-bit score may exceed its range by a step of 1/256.


def check_file(
    tflite_path: str | Path,
    model: keras.Model | str | Path,
    images: np.ndarray,
    *,
    tolerance: float | None = FLOAT32_TOLERANCE,
) -> FileChecks:
    """Checks a TFLite file alone and against its Keras model.

    A conversion that lost the weights succeeds and gives a plausible file (DESIGN section 4), so every file is run.
    What is checked: it runs in LiteRT; its scores are finite and within 0..1; it has builtin operators only, no
    variables, static shapes and batch 1; a quantized input takes image bytes as they are (scale 1, zero point 0 of
    uint8); its scores are within the tolerance of Keras.

    Args:
        tflite_path: The file.
        model: The Keras model it was made from, or the path of its `.keras` file.
        images: [N, r, r, 3], N >= 1, values in 0..255.
        tolerance: Largest accepted absolute difference of a probability; None for quantized files, which are judged by
            accuracy.

    Returns:
        What was found. A bad file is a result, not an exception.

    Raises:
        ValueError: If there are no images or they do not fit the model.
    """
    reference = keras.saving.load_model(model, compile=False) if isinstance(model, (str, Path)) else model
    if not len(images) or images.shape[1:] != tuple(reference.input_shape[1:]):
        raise ValueError(f"Expected images of shape [N, {reference.input_shape[1:]}]. Received: {images.shape}.")
    graph = read_graph(Path(tflite_path).read_bytes())
    interface = TFLiteClassifier(tflite_path, allocate=False)
    scores, run_error = _scores(tflite_path, images)
    expected = np.asarray(reference(np.asarray(images, np.float32), training=False))
    finite = scores is not None and bool(np.isfinite(scores).all())
    difference, agreement = None, None
    if scores is not None and finite and np.isfinite(expected).all():
        difference = float(np.abs(scores - expected).max())
        agreement = float(np.mean(scores.argmax(-1) == expected.argmax(-1)))
    reasons = [
        *_graph_reasons(graph, batch=interface.input.shape[0]),
        *_interface_reasons(interface.input),
        *([run_error] if run_error else []),
        *(_score_reasons(scores, difference=difference, tolerance=tolerance) if scores is not None else []),
    ]
    return FileChecks(
        passed=not reasons,
        reasons=tuple(reasons),
        runs=scores is not None,
        finite=finite,
        builtin_only=not graph.custom,
        stateless=not graph.stateful,
        static_shape=not graph.dynamic_tensors and interface.input.shape[0] == 1,
        operators=graph.operators,
        images=len(images),
        max_difference=difference,
        argmax_agreement=agreement,
        tolerance=tolerance,
    )


def _scores(tflite_path: str | Path, images: np.ndarray) -> tuple[np.ndarray | None, str | None]:
    try:
        return TFLiteClassifier(tflite_path).scores(images), None
    except (RuntimeError, ValueError) as error:  # What LiteRT raises for a file that it cannot run.
        return None, f"LiteRT cannot run it: {' '.join(str(error).split()):.200}"


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


def _score_reasons(scores: np.ndarray, *, difference: float | None, tolerance: float | None) -> list[str]:
    if not np.isfinite(scores).all():
        return [f"{np.mean(~np.isfinite(scores)):.0%} of its scores are not finite."]
    if scores.min() < -_ROUNDING or scores.max() > 1 + _ROUNDING:
        return [f"Its scores are not probabilities: they reach from {scores.min():.4g} to {scores.max():.4g}."]
    if difference is None:
        return ["The Keras model's own scores are not finite."]
    if tolerance is not None and difference > tolerance:
        return [f"Its scores differ from Keras by up to {difference:.3g}; {tolerance:.3g} is accepted."]
    return []
