"""The images that conversions need: some to measure ranges on, more to learn from."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ofar_tf.conversion.precision import precision_named

ImagesAt = Callable[[int], np.ndarray]
"""Gives images [N, r, r, 3] at a resolution r, values in 0..255, uint8 or float."""


@dataclass(frozen=True)
class ConversionImages:
    """Where the images come from.

    Attributes:
        representative: For the calibrated precisions that are not fine-tuned.
        training: For the fine-tuned precisions.
    """

    representative: ImagesAt | None = None
    training: ImagesAt | None = None

    def refuse_missing(self, precisions: Sequence[str]) -> None:
        """Checks that there are images for each precision that needs them.

        Args:
            precisions: Keys of `ofar_tf.conversion.precision.PRECISIONS`.

        Raises:
            ValueError: If there are none, or a precision is unknown.
        """
        for kind, source in (("representative", self.representative), ("training", self.training)):
            needed = [name for name in precisions if _kind(name) == kind]
            if needed and source is None:
                raise ValueError(f"Expected {kind} images for the precisions {needed}. Received: none.")

    def write(
        self, folder: Path, *, precisions: Sequence[str], resolutions: Iterable[int]
    ) -> dict[tuple[str, int], Path]:
        """Writes each set of images that is needed, once.

        Args:
            folder: Where to write.
            precisions: Keys of `ofar_tf.conversion.precision.PRECISIONS`.
            resolutions: Image sizes in pixels.

        Returns:
            The `.npy` files by precision and resolution; none for precisions that need no images.
        """
        paths = {}
        for resolution in sorted(set(resolutions)):
            for name in precisions:
                kind = _kind(name)
                source = self.training if kind == "training" else self.representative
                if kind is None or source is None:
                    continue
                path = paths[name, resolution] = folder / f"{kind}_r{resolution}.npy"
                if not path.exists():
                    np.save(path, _as_bytes(source(resolution)) if kind == "training" else source(resolution))
        return paths


def _kind(precision: str) -> str | None:
    settings = precision_named(precision)
    return ("training" if settings.fine_tuned else "representative") if settings.calibrated else None


def _as_bytes(images: np.ndarray) -> np.ndarray:
    """Rounds images to what the file will be given; there are many, and a byte is a quarter of a float."""
    return np.rint(images).clip(0, 255).astype(np.uint8)
