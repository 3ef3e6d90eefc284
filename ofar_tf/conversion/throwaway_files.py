"""Files of networks with random weights: for their size or their speed, not for use."""

from collections.abc import Callable, Iterable
from pathlib import Path

import keras
import numpy as np

from ofar_tf.conversion.convert_files import convert_files
from ofar_tf.conversion.jobs import ConversionJob, ConversionResult
from ofar_tf.conversion.precision import precision_named

_IMAGES = 2


def convert_throwaways(
    models: Iterable[keras.Model],
    folder: Path,
    *,
    precision: str,
    workers: int,
    on_done: Callable[[ConversionResult], None] | None = None,
) -> list[Path]:
    """Converts networks to files, quantized ones by random images.

    Args:
        models: The networks, of static inputs; each is let go of when it is saved.
        folder: Where to: `0.tflite`, `1.tflite` and so on, with the `.keras` files beside them.
        precision: A key of `ofar_tf.conversion.precision.PRECISIONS`; none that is fine-tuned.
        workers: How many processes may run at once.
        on_done: Called after each conversion.

    Returns:
        The files, in the order of the networks.

    Raises:
        ValueError: If a network does not convert, in one line.
    """
    jobs = []
    for index, model in enumerate(models):
        model.save(folder / f"{index}.keras")
        images = _images(folder, model.input_shape[1:3]) if precision_named(precision).calibrated else None
        saved, tflite = (folder / f"{index}.{kind}" for kind in ("keras", "tflite"))
        jobs.append(ConversionJob(saved, tflite, precision, representative_path=images))
    failed = [result.error for result in convert_files(jobs, workers=workers, on_done=on_done) if result.error]
    if failed:
        raise ValueError(f"Expected a network that converts to {precision}. Received: {failed[0]}")
    return [job.tflite_path for job in jobs]


def _images(folder: Path, size: tuple[int, int]) -> Path:
    path = folder / f"images_{size[0]}x{size[1]}.npy"
    if not path.exists():
        shape = (_IMAGES, *size, 3)
        np.save(path, np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32))
    return path
