"""The numbers that a task's networks are compared by, and what a network or a file reached."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ofar_tf.tasks.uncertainty import noise_of, wilson_interval


@dataclass(frozen=True)
class Metric:
    """The number that a task's networks are compared by.

    Attributes:
        key: Its name in files, for instance `top1`.
        title: Its name for people, for instance `top-1 accuracy`.
        columns: All numbers that are reported: their names in files and for people. `key` is among them.
        progress: What the same number is called while training, on batches of training images.
        higher_is_better: Whether more is better.
        counts_images: Whether the number is the share of images that are right, so that its interval is known.
        shares: Whether the numbers are shares in [0, 1], which people read as per cent.
        margin: How much worse than its Keras parent's the number of a file whose numbers were rounded may be, above 0.

    Raises:
        ValueError: If `key` is not among the columns, a column is named as a fact that stands beside them, or the
            margin is not positive.
    """

    key: str
    title: str
    columns: Mapping[str, str]
    progress: str
    higher_is_better: bool = True
    counts_images: bool = False
    shares: bool = True
    margin: float = 0.01

    def __post_init__(self) -> None:
        if self.key not in self.columns:
            raise ValueError(f"Expected {self.key!r} among the columns. Received: columns={list(self.columns)}.")
        if taken := set(self.columns) & {"images", f"keras_{self.key}"}:
            raise ValueError(f"Expected columns of other names than {sorted(taken)}. Received: {list(self.columns)}.")
        if not self.margin > 0:
            raise ValueError(f"Expected a positive margin. Received: margin={self.margin}.")

    @property
    def column(self) -> str:
        """The title of the number that decides where it heads a column, for instance `top-1`."""
        return self.columns[self.key]

    @property
    def heading(self) -> str:
        """The title with its unit, as an axis has it, for instance `Top-1 accuracy (%)`."""
        title = self.title[:1].upper() + self.title[1:]
        return f"{title} (%)" if self.shares else title

    @property
    def factor(self) -> int:
        """What numbers are multiplied by for people."""
        return 100 if self.shares else 1

    @property
    def unit(self) -> str:
        """What stands behind a number for people, a space included; empty where it has no unit."""
        return " %" if self.shares else ""

    def brief(self, value: float) -> str:
        """Writes a number with its unit close behind it, for instance `71.20%`."""
        return f"{self.text(value)}{self.unit.strip()}"

    def text(self, value: float, *, sign: str = "") -> str:
        """Writes a number, or a difference of two, for people: two decimals of per cent, or four digits.

        Args:
            value: The number, as files have it.
            sign: `+` to show the sign of a positive number too.
        """
        return f"{100 * value:{sign}.2f}" if self.shares else f"{value:{sign}.4g}"


@dataclass(frozen=True)
class Scores:
    """What a network reached on a set of images.

    Attributes:
        metric: Which of the numbers decides, and what they are called.
        values: The numbers, by the metric's columns.
        images: How many images were measured, at least 1.

    Raises:
        ValueError: If the numbers are not those of the metric, one is not finite or no share where the metric's are
            shares, or there are no images.
    """

    metric: Metric
    values: Mapping[str, float]
    images: int

    def __post_init__(self) -> None:
        numbers = list(self.values.values())
        if list(self.values) != list(self.metric.columns) or not np.isfinite(numbers).all():
            raise ValueError(f"Expected finite {', '.join(self.metric.columns)}. Received: {dict(self.values)}.")
        if self.metric.shares and not all(0 <= number <= 1 for number in numbers):
            raise ValueError(f"Expected {', '.join(self.metric.columns)} in 0..1. Received: {dict(self.values)}.")
        if self.images < 1:
            raise ValueError(f"Expected at least one image. Received: images={self.images}.")

    @property
    def best(self) -> float:
        """The number that networks are compared by: `metric.key`'s."""
        return self.values[self.metric.key]

    @property
    def merit(self) -> float:
        """The same so that more is better, whatever the metric."""
        return self.best if self.metric.higher_is_better else -self.best

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval of the number that decides; None where the metric does not count images."""
        return wilson_interval(self.best, self.images) if self.metric.counts_images else None

    @property
    def noise(self) -> float:
        """How far below it another may lie before the difference counts (`noise_of`); 0 where that is not known."""
        return noise_of(self.best, self.images) if self.metric.counts_images else 0.0

    @property
    def text(self) -> str:
        """The number that decides, for people, with its unit."""
        return f"{self.metric.text(self.best)}{self.metric.unit}"

    def cells(self) -> dict[str, Any]:
        """Returns the numbers as they stand in files: the metric's columns, and `images`."""
        return {**self.values, "images": self.images}

    @classmethod
    def of_cells(cls, metric: Metric, cells: Mapping[str, Any]) -> Self:
        """Reads what `cells` returns.

        Args:
            metric: What the numbers are called.
            cells: The numbers by name, and no others.

        Raises:
            ValueError: If they are not those of the metric, or no numbers.
        """
        _refuse_other_cells(cells, [*metric.columns, "images"])
        return cls(metric, {name: float(cells[name]) for name in metric.columns}, cells["images"])


@dataclass(frozen=True)
class FileScores(Scores):
    """What a file reached, and its Keras parent on the same images.

    Attributes:
        keras: The parent's number that decides.
    """

    keras: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not np.isfinite(self.keras) or (self.metric.shares and not 0 <= self.keras <= 1):
            raise ValueError(
                f"Expected a finite {self.metric.title} of the Keras parent. "
                f"Received: keras_{self.metric.key}={self.keras}."
            )

    @classmethod
    def beside(cls, file: Scores, *, keras: float) -> Self:
        """Puts the number of the parent beside those of a file."""
        return cls(file.metric, file.values, file.images, keras=keras)

    @property
    def change(self) -> float:
        """The file's number that decides, less the parent's."""
        return self.best - self.keras

    def cells(self) -> dict[str, Any]:
        """Returns the numbers as they stand in files: those of `Scores`, and the parent's as `keras_<key>`."""
        return {**super().cells(), f"keras_{self.metric.key}": self.keras}

    @classmethod
    def of_cells(cls, metric: Metric, cells: Mapping[str, Any]) -> Self:
        """Reads what `cells` returns; see `Scores.of_cells`."""
        own = f"keras_{metric.key}"
        _refuse_other_cells(cells, [*metric.columns, "images", own])
        scores = Scores.of_cells(metric, {name: value for name, value in cells.items() if name != own})
        return cls.beside(scores, keras=float(cells[own]))


def _refuse_other_cells(cells: Mapping[str, Any], names: list[str]) -> None:
    missing, unknown = [name for name in names if name not in cells], [name for name in cells if name not in names]
    if missing or unknown:
        raise ValueError(f"Expected the keys {sorted(names)}. Received: missing={missing}, unknown={unknown!r:.200}.")
    for name, value in cells.items():
        if isinstance(value, bool) or not isinstance(value, int if name == "images" else (int, float)):
            raise ValueError(f"Expected numbers. Received: {name}={value!r:.80}.")
