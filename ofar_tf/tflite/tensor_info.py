"""What an application must know of a file's input or output."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TensorInfo:
    """What an application must know of a file's input or output.

    Attributes:
        name: Its name in the file's signature.
        dtype: `float32`, `uint8` or `int8`.
        shape: Its shape, batch first; -1 where it is not static.
        range: Smallest and largest real value; None where there are no bounds.
        scale: Real value of one step of a quantized tensor; None for floats.
        zero_point: Stored value of the real zero of a quantized tensor; None for floats.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    range: tuple[float, float] | None
    scale: float | None = None
    zero_point: int | None = None

    def __post_init__(self) -> None:
        if not _is_number_type(self.dtype):
            raise ValueError(f"Expected a type of numbers such as float32. Received: dtype={self.dtype!r:.60}.")
        low, high = self.range or (0.0, 1.0)
        if any(size < -1 for size in self.shape) or not low < high:
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


def _is_number_type(name: str) -> bool:
    try:
        return np.dtype(name).name == name and np.dtype(name).kind in "fiu"
    except (TypeError, ValueError, SyntaxError):  # What NumPy says to names that it does not know.
        return False
