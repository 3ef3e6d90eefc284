"""The images that files are made with and measured on, at any resolution."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np

from ofar_tf.conversion.precision import precision_named
from ofar_tf.data import resize_batch
from ofar_tf.evaluation.pool_accuracy import PoolImages
from ofar_tf.tasks.answers import Batches
from ofar_tf.text.size import Size


@dataclass(frozen=True)
class FamilyImages:
    """Where the images come from.

    Attributes:
        evaluation: Gives the evaluation images and labels at a resolution, from the start each time.
        training: Gives the first so many unaugmented training images [N, h, w, 3] at a resolution, values in 0..255,
            uint8 or float: `training(resolution, images)`. Called for precisions that need them alone.
        selection: Gives the images that files are chosen by, as `evaluation` does; None where they are the same.
        canvas: The size at which images are made, before they are resized to what a network sees; None where it is not
            known.
        depth: How many bits the values of 16-bit images are taken for, before they become 0..255.
    """

    evaluation: Callable[[Size], Batches]
    training: Callable[[Size, int], np.ndarray]
    selection: Callable[[Size], Batches] | None = None
    canvas: Size | None = None
    depth: int = 8

    @classmethod
    def resized(
        cls,
        images: PoolImages,
        *,
        training: Callable[[int], Iterable[Any]],
        canvas: Size | None = None,
        depth: int = 8,
    ) -> Self:
        """Resizes batches as the networks of a pool see them.

        Args:
            images: The images of the pool, [B, H, W, 3] at the largest resolution, and labels.
            training: Gives the first so many training images in the same form.
            canvas: The largest resolution; None where it is not known.
            depth: See the attribute.
        """

        def at(resolution: Size, *, source: Callable[[], Iterable[Any]]) -> Iterator[tuple[np.ndarray, Any]]:
            for images, labels in source():
                yield np.asarray(resize_batch(images, resolution)), keras.tree.map_structure(np.asarray, labels)

        def training_at(resolution: Size, count: int) -> np.ndarray:
            return np.concatenate([np.asarray(resize_batch(batch, resolution)) for batch, _ in training(count)])

        return cls(
            partial(at, source=images.evaluation),
            training_at,
            partial(at, source=images.selection) if images.selection else None,
            canvas,
            depth,
        )

    def write(
        self,
        folder: Path,
        *,
        precisions: Sequence[str],
        resolutions: Iterable[Size],
        representative: int,
        fine_tuning: int,
    ) -> dict[tuple[str, Size], Path]:
        """Writes each set of training images that is needed, once.

        Args:
            folder: Where to write.
            precisions: Keys of `ofar_tf.conversion.precision.PRECISIONS`.
            resolutions: Image sizes.
            representative: How many images fix the ranges of a calibrated precision.
            fine_tuning: How many images a fine-tuned precision learns from; rounded here to whole numbers, as its files
                will see them, and to bytes, of which there may be many.

        Returns:
            The `.npy` files by precision and resolution; none for precisions that need no images.
        """
        paths = {}
        for resolution in sorted(set(resolutions)):
            for settings in map(precision_named, precisions):
                if not settings.calibrated:
                    continue
                kind = "fine_tuning" if settings.fine_tuned else "representative"
                path = paths[settings.name, resolution] = folder / f"{kind}_r{resolution}.npy"
                if path.exists():
                    continue
                images = self.training(resolution, fine_tuning if settings.fine_tuned else representative)
                np.save(path, np.rint(images).clip(0, 255).astype(np.uint8) if settings.fine_tuned else images)
        return paths
