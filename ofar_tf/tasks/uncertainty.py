"""How sure a measured accuracy is: intervals of one share, and of the difference of two on the same images."""

import math
from collections.abc import Callable
from statistics import NormalDist

CONFIDENCE = 0.95
"""Of the intervals that stand beside accuracies. One-sided statements have it too."""


def wilson_interval(share: float, images: int, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Computes Wilson's score interval of a share (Wilson 1927).

    Unlike the share plus and minus two standard errors it stays within 0..1 and holds for few images and shares near 1.

    Args:
        share: The measured share, in 0..1.
        images: On how many images it was measured, at least 1.
        confidence: How often such an interval holds the true share, in (0, 1).

    Returns:
        Its ends, in 0..1, with the share between them.

    Raises:
        ValueError: If a number makes no sense.
    """
    if not 0 <= share <= 1 or images < 1 or not 0 < confidence < 1:
        raise ValueError(
            f"Expected a share and a confidence in 0..1 and images. Received: {share}, {confidence}, {images}."
        )
    return _wilson(share, images, deviations=NormalDist().inv_cdf((1 + confidence) / 2))


def noise_of(share: float, images: int) -> float:
    """Computes how far below a measured accuracy another may lie before the difference counts.

    It is one standard error, by Wilson's interval, so that it is not zero where every image was right. To take the
    simplest model within one standard error of the best is the rule of Breiman et al., Classification and Regression
    Trees, section 3.4.3.

    Args:
        share: The measured accuracy, in 0..1.
        images: On how many images.

    Returns:
        A share, at least 0.
    """
    return share - _wilson(share, images, deviations=1.0)[0]


def _wilson(share: float, images: int, *, deviations: float) -> tuple[float, float]:
    squared = deviations**2
    centre = (share + squared / (2 * images)) / (1 + squared / images)
    half = deviations / (1 + squared / images) * math.sqrt(share * (1 - share) / images + squared / (4 * images**2))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def paired_drop_interval(losses: int, gains: int, images: int) -> tuple[float, float]:
    """Bounds how much accuracy a classifier loses against another on the same images.

    It is the score interval of Tango (Statistics in Medicine 17, 1998): a drop d is in it if the score test does not
    reject it. At d = 0 that test is McNemar's. Each of the two bounds alone has a confidence of `CONFIDENCE`.

    Args:
        losses: On how many images only the other classifier is right.
        gains: On how many only this one is.
        images: How many there are in all.

    Returns:
        The least and the largest drop, in -1..1.

    Raises:
        ValueError: If the counts make no sense.
    """
    if min(losses, gains) < 0 or images < 1 or losses + gains > images:
        raise ValueError(f"Expected counts within the images. Received: {losses}, {gains} of {images}.")
    deviations = NormalDist().inv_cdf(CONFIDENCE)

    def score(drop: float) -> float:
        return _tango_score(drop, losses, gains, images)

    measured = (losses - gains) / images
    low = _crossing(lambda drop: score(drop) <= deviations, -1.0, measured)
    high = _crossing(lambda drop: score(drop) <= -deviations, measured, 1.0)
    return low, high


def _tango_score(drop: float, losses: int, gains: int, images: int) -> float:
    """Says by how many standard errors the measured drop exceeds a supposed one; it falls as that one rises."""
    linear = (2 * images - losses + gains) * drop - losses - gains
    constant = -gains * drop * (1 - drop)
    share = (math.sqrt(max(0.0, linear**2 - 8 * images * constant)) - linear) / (4 * images)
    variance = images * (2 * share + drop * (1 - drop))
    excess = losses - gains - images * drop
    if variance <= 0:
        return 0.0 if excess == 0 else math.copysign(math.inf, excess)
    return excess / math.sqrt(variance)


def _crossing(is_beyond: Callable[[float], bool], low: float, high: float) -> float:
    """Finds where a condition that is false below and true above changes, to 1e-9."""
    for _ in range(32):
        middle = (low + high) / 2
        low, high = (low, middle) if is_beyond(middle) else (middle, high)
    return (low + high) / 2


def chance_of_losses(losses: int, gains: int) -> float:
    """Computes McNemar's exact one-sided test: how often so many losses happen where neither classifier is better.

    Args:
        losses: On how many images only the other classifier is right.
        gains: On how many only this one is.

    Returns:
        The probability, in (0, 1], of at least so many losses among the images on which the two differ.
    """
    differing = losses + gains
    ways = term = 1  # All of them are losses; then one fewer at a time.
    for count in range(differing, losses, -1):
        term = term * count // (differing - count + 1)
        ways += term
    return ways / 2**differing


def images_to_tell(limit: float, *, differing: float) -> int:
    """Estimates how many images show that two classifiers of the same accuracy differ by no more than a limit.

    Args:
        limit: The largest drop that does not count, in (0, 1).
        differing: The share of the images on which one alone is right, in 0..1.

    Returns:
        A number of images; no fewer than show it where the two never differ.
    """
    squared = NormalDist().inv_cdf(CONFIDENCE) ** 2
    return math.ceil(max(squared * differing / limit**2, squared * (1 - limit) / limit))
