"""Whether a file is as accurate as its parent: a test on the images on which the two differ."""

from dataclasses import dataclass

from ofar_tf.tasks.uncertainty import chance_of_losses, images_to_tell, paired_drop_interval

PASSED, FAILED, CANNOT_TELL = "passed", "failed", "cannot_tell"
_ERROR = 0.05


@dataclass(frozen=True)
class AccuracyCheck:
    """What the same images say of a file's drop in top-1 accuracy against its parent.

    The verdict errs about once in twenty times at most, in either way. `failed`: the drop is beyond the limit, since
    the lower bound of its interval is, and so many losses would be rare (McNemar's exact test) if the two were equally
    good. `passed`: it is within the limit, since the upper bound is. `cannot_tell`: neither is shown, for there are too
    few images; such a file is not refused, but the export warns of it.

    Attributes:
        verdict: `passed`, `failed` or `cannot_tell`.
        limit: The largest drop that passes, a share.
        images: How many images were compared.
        losses: On how many only the parent is right.
        gains: On how many only the file is right.
        drop: The least and the largest drop that the images allow, shares; each bound holds with 95 %.
    """

    verdict: str
    limit: float
    images: int
    losses: int
    gains: int
    drop: tuple[float, float]

    def __post_init__(self) -> None:
        if self.verdict not in (PASSED, FAILED, CANNOT_TELL):
            raise ValueError(f"Expected passed, failed or cannot_tell. Received: verdict={self.verdict!r:.60}.")
        if min(self.losses, self.gains) < 0 or self.losses + self.gains > self.images:
            raise ValueError(f"Expected losses and gains within the images. Received: {self}.")
        if self.images < 1 or not -1 <= self.drop[0] <= self.drop[1] <= 1 or not 0 < self.limit < 1:
            raise ValueError(f"Expected images, a limit in (0, 1) and a rising interval. Received: {self}.")

    @property
    def sentence(self) -> str:
        """What is wrong or not known, one sentence; empty for a file that passed."""
        low, high = (f"{100 * bound:.1f}" for bound in self.drop)
        if self.verdict == PASSED:
            return ""
        if self.verdict == FAILED:
            return (
                f"Its top-1 accuracy is more than {self.limit:g} below that of its Keras parent: of the same "
                f"{self.images} images it loses {self.losses} and gains {self.gains}, at least {low} points with 95 %."
            )
        needed = images_to_tell(self.limit, differing=(self.losses + self.gains) / self.images)
        wanted = f"; it takes about {needed} images" if needed > self.images else ""
        points = f"{100 * self.limit:g} point{'s' * (self.limit != 0.01)}"
        return (
            f"{self.images} images cannot tell whether it loses more than {points} of top-1 accuracy: its drop is "
            f"within {low} to {high} points{wanted}."
        )


def check_accuracy(losses: int, gains: int, images: int, *, limit: float) -> AccuracyCheck:
    """Compares a file with its parent.

    Args:
        losses: On how many images only the parent is right.
        gains: On how many only the file is right.
        images: How many were compared, at least 1.
        limit: The largest drop of top-1 accuracy that passes, a share in (0, 1).

    Returns:
        The verdict and what it rests on.
    """
    low, high = paired_drop_interval(losses, gains, images)
    verdict = CANNOT_TELL
    if low > limit and chance_of_losses(losses, gains) < _ERROR:
        verdict = FAILED
    elif high <= limit:
        verdict = PASSED
    return AccuracyCheck(verdict, limit, images, losses, gains, (low, high))
