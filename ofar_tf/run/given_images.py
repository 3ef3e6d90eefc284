"""A trained pool with images that a program gives as `tf.data`, and what is identified by their content."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.conversion.images import FamilyImages
from ofar_tf.data.read_ahead import untuned
from ofar_tf.evaluation.pool_accuracy import PoolImages
from ofar_tf.evaluation.pool_evaluation import PoolEvaluation, content_digest
from ofar_tf.evaluation.trained_pool import TrainedPool


def _none_given() -> NoReturn:
    raise ValueError("Expected images, as validation and calibration. Received: none.")


NO_IMAGES = PoolImages(calibration=_none_given, evaluation=_none_given)
"""What a pool has whose networks are only taken out."""


@dataclass(frozen=True)
class GivenImages:
    """The images that a pool is measured with.

    Attributes:
        validation: Finite batches of images `[B, R, R, 3]` at the largest resolution, 0..255, and labels as `fit` takes
            them.
        calibration: Batches in the same form, normally of the training images; may be endless.
        selection: Batches as `validation`, of other images, that choices are made on; None for those of `validation`.
        calibration_images: How many images of `calibration` are used, at least 1.

    Raises:
        ValueError: If what is to be measured on repeats without end, or no image is to be used.
    """

    validation: tf.data.Dataset
    calibration: tf.data.Dataset
    selection: tf.data.Dataset | None = None
    calibration_images: int = 2000

    def __post_init__(self) -> None:
        if self.calibration_images < 1:
            raise ValueError(
                f"Expected an image to calibrate with. Received: calibration_images={self.calibration_images}."
            )
        for name, batches in (("validation", self.validation), ("selection", self.selection)):
            if isinstance(batches, tf.data.Dataset) and batches.cardinality() == tf.data.INFINITE_CARDINALITY:
                raise ValueError(
                    f"Expected {name} to end, as data sets do without repeat(). Received: one without end."
                )

    def of(self, trained: TrainedPool) -> TrainedPool:
        """Returns the pool with these images.

        Raises:
            ValueError: If they are not as the pool's task takes them.
        """
        seen, judged = self._checked(trained, self.calibration), self._checked(trained, self.validation)
        chosen_by = self._checked(trained, self.selection) if self.selection is not None else None
        return replace(
            trained,
            images=PoolImages(
                calibration=lambda: _first(seen, images=self.calibration_images),
                evaluation=lambda: judged,
                selection=(lambda: chosen_by) if chosen_by is not None else None,
            ),
        )

    def for_export(self, trained: TrainedPool) -> FamilyImages:
        """Returns the same for files: those that are quantized need more of the images than calibration does.

        Args:
            trained: What `of` returned.
        """
        return FamilyImages.resized(
            trained.images,
            training=lambda images: _first(self._checked(trained, self.calibration), images=images),
            canvas=trained.resolutions[0],
        )

    @staticmethod
    def _checked(trained: TrainedPool, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Returns batches of images and labels in the one form that the task knows."""
        checked = trained.task.checked(batches, trained.resolutions[0])
        return untuned(checked.map(lambda images, labels, *_: (images, labels)))


def required(
    validation: tf.data.Dataset | None,
    calibration: tf.data.Dataset | None,
    selection: tf.data.Dataset | None = None,
    *,
    calibration_images: int = 2000,
) -> GivenImages:
    """Takes images that must be given; see the attributes of `GivenImages`.

    Raises:
        ValueError: If validation or calibration is missing.
    """
    if validation is None or calibration is None:
        missing = "validation" if validation is None else "calibration"
        raise ValueError(f"Expected images, as validation and calibration. Received: no {missing}.")
    return GivenImages(validation, calibration, selection, calibration_images)


def described(trained: TrainedPool, table: PoolEvaluation | None = None) -> dict[str, Any]:
    """Identifies what networks are made from and measured on by its content: nothing else is known of it here.

    Args:
        trained: A pool with images.
        table: What the networks were calibrated for, if it has their statistics: those are what they are made from
            then, not images, which may come in another order each time.

    Returns:
        The data set, as a manifest has it.
    """
    calibrated = _statistics_digest(table) if table and table.statistics else None
    parts = (trained.supernet.to_json(), trained.training, calibrated or content_digest(trained.images.calibration()))
    origin = hashlib.sha256(" ".join(parts).encode()).hexdigest()
    evaluation = content_digest(trained.images.evaluation())
    chosen_by = trained.images.selection
    selection = {"selection": content_digest(chosen_by())} if chosen_by else {}
    return {"name": "given as tf.data", "evaluation": evaluation, **selection, "origin": origin}


def _statistics_digest(table: PoolEvaluation) -> str:
    digest = hashlib.sha256()
    for place, statistics in sorted(table.statistics.items()):
        digest.update(repr(place).encode())
        for moments in keras.tree.flatten(statistics):
            digest.update(np.ascontiguousarray(moments).tobytes())
    return digest.hexdigest()


def _first(batches: tf.data.Dataset, *, images: int) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """Yields batches until they hold so many images, the last one cut."""
    for pictures, labels in batches:
        yield pictures[:images], labels[:images]
        images -= min(images, len(pictures))
        if images == 0:
            return
