"""Images that come in another order each time they are read, as shuffled ones do, brought into one order."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ofar_tf.evaluation.pool_accuracy import Batches
from ofar_tf.evaluation.trained_pool import TrainedPool
from ofar_tf.files.scratch_folder import scratch_folder
from ofar_tf.tasks.classification.task import Classification

# A shuffled set begins twice with these many equal batches by chance only if it has hardly any images.
_LOOKED_AT = 3


@contextmanager
def in_one_order(trained: TrainedPool) -> Iterator[TrainedPool]:
    """Lends a pool whose images to measure on come in one order, whatever order the given ones come in.

    What a file says is held against what its parent says image by image, and pages show images by their places. Images
    that come as they came are left alone; others are kept on the disk meanwhile, sorted by what they show, so that they
    are the same data set to a later export.

    Args:
        trained: A pool with images. Only those of classifiers are looked at: of other tasks images are right or wrong
            in part, and numbers are of all of them.

    Yields:
        The pool.

    Raises:
        NoRoomError: If the disk has no room for the images.
    """
    images = trained.images
    given = {"evaluation": images.evaluation, "selection": images.selection}
    if not isinstance(trained.task, Classification):
        given = {}
    moving = {name: batches for name, batches in given.items() if batches and not _comes_as_it_came(batches)}
    if not moving:
        yield trained
        return
    with scratch_folder("evaluation") as folder:
        kept = {name: _kept(batches, folder / name).batches for name, batches in moving.items()}
        yield replace(trained, images=replace(images, **kept))


def _comes_as_it_came(batches: Batches) -> bool:
    twice = zip(*(islice(batches(), _LOOKED_AT) for _ in range(2)), strict=False)
    return all(np.array_equal(a, b) for first, second in twice for a, b in zip(first, second, strict=True))


@dataclass(frozen=True, eq=False)
class _Kept:
    """Images on the disk, in the order of their digests.

    Attributes:
        images: [N, H, W, 3].
        labels: [N] or [N, K].
        order: Their places there.
        together: How many make a batch.
    """

    images: np.ndarray
    labels: np.ndarray
    order: np.ndarray
    together: int

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(self.order), self.together):
            places = self.order[start : start + self.together]
            yield self.images[places], self.labels[places]


def _kept(batches: Batches, path: Path) -> _Kept:
    """Writes images one after the other, and remembers what each shows."""
    digests: list[bytes] = []
    labels: list[np.ndarray] = []
    together, shape, dtype = 1, (), np.dtype(np.float32)
    with path.open("wb") as file:
        for given in batches():
            images, classes = map(np.ascontiguousarray, given)
            together, shape, dtype = max(together, len(images)), images.shape[1:], images.dtype
            labels.append(classes)
            digests += [_digest(*one) for one in zip(images, classes, strict=True)]
            file.write(images.data)
    stored: Any = np.memmap(path, dtype, mode="r", shape=(len(digests), *shape))
    order = np.array(sorted(range(len(digests)), key=digests.__getitem__))
    return _Kept(stored, np.concatenate(labels), order, together)


def _digest(image: np.ndarray, label: np.ndarray) -> bytes:
    return hashlib.blake2b(image.tobytes() + label.tobytes(), digest_size=16).digest()
