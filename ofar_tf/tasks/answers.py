"""What a network says of all images of a split, kept beside its file so that it is asked once."""

import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from ofar_tf.files import atomic_file
from ofar_tf.tasks.scores import Metric, Scores
from ofar_tf.text.size import Size

Batches = Iterable[tuple[np.ndarray, Any]]
"""Pairs of images `[B, h, w, 3]`, values in 0..255, and of labels as the task takes them."""

Run = Callable[[np.ndarray], Any]
"""Images `[B, h, w, 3]` to what a network of the task, or its file, says of them."""


class SizedRun(NamedTuple):
    """A network at one size.

    Attributes:
        size: What it sees.
        run: Images of any size to what it says of them once they are resized.
    """

    size: Size
    run: Run


class Answers(Protocol):
    """What a network said of a split: image by image, or only what it reached."""

    @property
    def scores(self) -> Scores:
        """What the network reached."""

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Returns what there is to keep, by name."""

    def agreement(self, other: Self) -> float | None:
        """Computes the share of the images of which two networks say the same; None where that means nothing."""

    def losses_and_gains(self, parent: Self) -> tuple[int, int] | None:
        """Counts the images on which only the parent is right, and only this network.

        Args:
            parent: What another network said of the same images.

        Returns:
            Both counts; None where images are not right or wrong.

        Raises:
            ValueError: If the images are not the same.
        """


@dataclass(frozen=True)
class OnlyScores:
    """The answers of tasks whose images are not right or wrong: what was reached on all of them.

    Attributes:
        scores: The numbers.
    """

    scores: Scores

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Returns the numbers and how many images they are of."""
        return {"values": np.array(list(self.scores.values.values())), "images": np.array(self.scores.images)}

    @classmethod
    def of_arrays(cls, metric: Metric, arrays: Mapping[str, np.ndarray]) -> "OnlyScores":
        """Reads what `arrays` returns.

        Raises:
            ValueError: If they are not the numbers of the metric.
        """
        values = dict(zip(metric.columns, map(float, arrays["values"]), strict=True))
        return cls(Scores(metric, values, int(arrays["images"])))

    def agreement(self, other: "OnlyScores") -> float | None:
        """Returns None."""
        return None

    def losses_and_gains(self, parent: "OnlyScores") -> tuple[int, int] | None:
        """Returns None."""
        return None


def predictions_path(file: Path) -> Path:
    """Names where the answers of a file lie: beside it, `<name>.predictions.npz`."""
    return file.with_suffix(".predictions.npz")


def write_predictions(path: Path, answers: Answers, *, key: Mapping[str, Any]) -> None:
    """Writes answers, whole or not at all.

    Args:
        path: Where to.
        answers: The answers.
        key: What they depend on, as JSON values.
    """
    with atomic_file.replacing(path) as temporary:
        arrays: dict[str, Any] = {**answers.arrays(), "key": np.array(json.dumps(dict(key), sort_keys=True))}
        np.savez_compressed(temporary, **arrays)


def read_predictions(
    path: Path, *, parse: Callable[[Mapping[str, np.ndarray]], Any], key: Mapping[str, Any] | None = None
) -> Any:
    """Reads answers.

    Args:
        path: The file.
        parse: Makes them of the arrays that were kept (`Shipped.answers_of`).
        key: What they must depend on; None for anything.

    Returns:
        The answers; None where there are none, they cannot be read, or they depend on something else.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = dict(archive)
        stored = str(arrays.pop("key"))
        found = parse(arrays)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, EOFError, zipfile.BadZipFile):
        return None
    return found if key is None or stored == json.dumps(dict(key), sort_keys=True) else None


def recall_predictions(
    path: Path,
    *,
    parse: Callable[[Mapping[str, np.ndarray]], Any],
    key: Mapping[str, Any],
    compute: Callable[[], Answers],
) -> Any:
    """Returns the stored answers of a key, or computes and stores them.

    Args:
        path: Where they are or will be.
        parse: As in `read_predictions`.
        key: What they depend on, as JSON values.
        compute: Makes them.

    Returns:
        The answers.
    """
    found = read_predictions(path, parse=parse, key=key)
    if found is None:
        found = compute()
        write_predictions(path, found, key=key)
    return found
