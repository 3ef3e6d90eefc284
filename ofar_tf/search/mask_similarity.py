"""How much a mask changed from one epoch to the next (Section 3.3 of the paper)."""

import numpy as np


def cosine_similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the cosine of two masks.

    Equation 3 of the paper prints sum(ab) / (sum(a^2) + sum(b^2)), which gives 0.5 for equal masks; its text says
    cosine, which is what this is (DESIGN D1).

    Args:
        first: bool `[channels]`, at least one true.
        second: bool `[channels]`, at least one true.

    Returns:
        A float in [0, 1]; 1 for equal masks.

    Raises:
        ValueError: If the masks differ in length or one keeps nothing.
    """
    if first.shape != second.shape or not first.any() or not second.any():
        raise ValueError(
            "Expected two masks of the same length that keep something. "
            f"Received: {first.sum()} of {first.size} and {second.sum()} of {second.size} channels."
        )
    return float((first & second).sum() / np.sqrt(float(first.sum()) * float(second.sum())))


def above_chance(similarity: float, rate: float) -> float:
    """Corrects a similarity for what random masks of the same rate would score, which is 1 - rate (DESIGN D22).

    Args:
        similarity: A cosine similarity in [0, 1].
        rate: The pruning rate of the masks, in [0, 1].

    Returns:
        1 for equal masks, 0 for the similarity expected by chance, negative below; NaN at rate 0, where there is no
        choice and hence no information.
    """
    return (similarity - (1.0 - rate)) / rate if rate > 0.0 else float("nan")
