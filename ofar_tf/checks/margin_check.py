"""Whether a file is as good as its parent, where images are not right or wrong: a plain margin."""

import math
from dataclasses import dataclass

from ofar_tf.checks.accuracy_check import FAILED, PASSED
from ofar_tf.tasks.scores import Scores


@dataclass(frozen=True)
class MarginCheck:
    """What a file reached beside what its parent reached on the same images.

    Attributes:
        limit: How much worse the file may be, in the unit of the number.
        images: How many images were measured.
        file: The file's number.
        parent: The parent's number.
        loss: How much worse the file is; negative where it is better.
    """

    limit: float
    images: int
    file: float
    parent: float
    loss: float

    def __post_init__(self) -> None:
        numbers = (self.limit, self.file, self.parent, self.loss)
        if not all(map(math.isfinite, numbers)) or self.limit <= 0 or self.images < 1:
            raise ValueError(f"Expected images, finite numbers and a positive limit. Received: {self}.")

    @property
    def verdict(self) -> str:
        """`passed` or `failed`."""
        return PASSED if self.loss <= self.limit else FAILED


def check_margin(file: Scores, parent: Scores) -> MarginCheck:
    """Compares a file with its parent.

    Args:
        file: What the file reached.
        parent: What its parent reached on the same images.

    Returns:
        The verdict and what it rests on.
    """
    return MarginCheck(file.metric.margin, file.images, file.best, parent.best, parent.merit - file.merit)


def margin_sentence(file: Scores, parent: Scores) -> str:
    """Says what is wrong with a file that failed."""
    metric = file.metric
    limit = f"{100 * metric.margin:g} point{'s' * (metric.margin != 0.01)}" if metric.shares else f"{metric.margin:g}"
    return (
        f"Its {metric.title} is more than {limit} worse than that of its Keras parent: {file.text} instead of "
        f"{parent.text} on the same {file.images} images."
    )
