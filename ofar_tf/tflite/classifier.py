"""A TFLite image classifier, run through LiteRT with images in 0..255 whatever its input type."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from ofar_tf.text.quiet import quiet_start


@dataclass(frozen=True)
class TensorInfo:
    """What an application must know of a file's input or output.

    Attributes:
        name: Its name in the file's signature.
        dtype: `float32`, `uint8` or `int8`.
        shape: Its shape, batch first; -1 where it is not static.
        range: Smallest and largest real value.
        scale: Real value of one step of a quantized tensor; None for floats.
        zero_point: Stored value of the real zero of a quantized tensor; None for floats.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    range: tuple[float, float]
    scale: float | None = None
    zero_point: int | None = None

    def __post_init__(self) -> None:
        if not _is_number_type(self.dtype):
            raise ValueError(f"Expected a type of numbers such as float32. Received: dtype={self.dtype!r:.60}.")
        if any(size < -1 for size in self.shape) or not self.range[0] < self.range[1]:
            raise ValueError(f"Expected a shape and a rising range. Received: {self.shape} and {self.range}.")
        quantized = not np.issubdtype(np.dtype(self.dtype), np.floating)
        if quantized != (self.scale is not None) or quantized != (self.zero_point is not None):
            raise ValueError(
                "Expected a scale and a zero point for integer tensors only. "
                f"Received: dtype={self.dtype!r}, scale={self.scale}, zero_point={self.zero_point}."
            )
        if self.scale is not None and not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"Expected a positive scale. Received: scale={self.scale}.")

    def to_stored(self, real: np.ndarray) -> np.ndarray:
        """Rounds non-negative real values as LiteRT does, halves up, and clips them to the stored type.

        Args:
            real: Non-negative floats of any shape.

        Returns:
            The same shape in `dtype`.
        """
        if self.scale is None or self.zero_point is None:
            return real.astype(self.dtype)
        limits = np.iinfo(self.dtype)
        steps = np.floor(real / np.float32(self.scale) + 0.5) + self.zero_point
        return np.clip(steps, limits.min, limits.max).astype(self.dtype)

    def to_real(self, stored: np.ndarray) -> np.ndarray:
        """Turns stored values into real ones.

        Args:
            stored: An array of `dtype`.

        Returns:
            The same shape in float32.
        """
        real = stored.astype(np.float32)
        if self.scale is None or self.zero_point is None:
            return real
        return (real - self.zero_point) * np.float32(self.scale)


class TFLiteClassifier:
    """A TFLite file with one image input and one output of class scores.

    Args:
        path: The file.
        allocate: Whether to make it ready to run; without, only `input` and `output` can be read.

    Attributes:
        input: The image, [1, r, r, 3], values in 0..255.
        output: The scores, [1, K], values in 0..1.

    Raises:
        ValueError: If the file is not TFLite or has several inputs or outputs.
        RuntimeError: If LiteRT cannot make it ready, for instance for want of an operator.
    """

    def __init__(self, path: str | Path, *, allocate: bool = True) -> None:
        # One thread: evaluating images in parallel by several interpreters is twice as fast as one with as many threads
        # (2.9 and 1.4 times one thread's speed on four cores, MobileNetV2 at 96 px).
        self._interpreter = Interpreter(model_path=str(path), num_threads=1)
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ValueError(
                f"Expected one input and one output. Received: {len(inputs)} and {len(outputs)} in {path}."
            )
        self._indices = inputs[0]["index"], outputs[0]["index"]
        signature: dict[str, list[str]] = next(iter(self._interpreter.get_signature_list().values()), {})
        self.input = _tensor_info(inputs[0], names=signature.get("inputs", []), real_range=(0.0, 255.0))
        self.output = _tensor_info(outputs[0], names=signature.get("outputs", []), real_range=(0.0, 1.0))
        if allocate:
            with quiet_start():  # XNNPACK says that it is there.
                self._interpreter.allocate_tensors()

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Runs the file on images, one after the other.

        Args:
            images: [B, r, r, 3], values in 0..255, uint8 or float.

        Returns:
            [B, K] float32, real values.
        """
        stored = self.input.to_stored(np.asarray(images))
        rows = [self._run(image[np.newaxis]) for image in stored]
        return self.output.to_real(np.stack(rows)) if rows else np.zeros((0, self.output.shape[-1]), np.float32)

    def _run(self, image: np.ndarray) -> np.ndarray:
        source, target = self._indices
        self._interpreter.set_tensor(source, image)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(target)[0]


def _is_number_type(name: str) -> bool:
    try:
        return np.dtype(name).name == name and np.dtype(name).kind in "fiu"
    except (TypeError, ValueError, SyntaxError):  # What NumPy says to names that it does not know.
        return False


def _tensor_info(details: dict[str, Any], *, names: list[str], real_range: tuple[float, float]) -> TensorInfo:
    scale, zero_point = details["quantization"]
    quantized = not np.issubdtype(details["dtype"], np.floating)
    return TensorInfo(
        name=names[0] if names else details["name"],
        dtype=np.dtype(details["dtype"]).name,
        shape=tuple(int(size) for size in details["shape_signature"]),
        range=real_range,
        scale=float(scale) if quantized else None,
        zero_point=int(zero_point) if quantized else None,
    )
