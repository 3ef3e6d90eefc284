"""Images that a classifier calls right and wrong, for people to look at."""

from collections.abc import Sequence

import numpy as np

from ofar_tf.tasks.answers import Batches, Run
from ofar_tf.tasks.classification.predictions import Predictions
from ofar_tf.tasks.examples import Example, picked


def draw_examples(
    answers: Predictions, run: Run, batches: Batches, *, labels: Sequence[str], count: int
) -> tuple[Example, ...]:
    """Shows images as the file sees them, with its first guess; under the wrong ones stands the true class.

    Args:
        answers: What the file said of the whole split.
        run: Runs it: images [B, r, r, 3] to scores [B, K].
        batches: The split.
        labels: The K class names.
        count: How many images, at least 1.

    Returns:
        The wrong ones first, half of them if there are as many; none where the answers are of more classes.
    """
    if not answers.fits(len(labels)):
        return ()
    places = answers.wrong_and_right(count)
    found = {
        place: _example(image[0], run(image)[0], int(answers.labels[place]), labels)
        for place, image, _ in picked(batches, places)
    }
    return tuple(found[place] for place in places.tolist() if place in found)


def _example(image: np.ndarray, scores: np.ndarray, truth: int, labels: Sequence[str]) -> Example:
    best = int(scores.argmax())
    if not np.isfinite(scores).all():
        return Example.drawn(image, f"no answer; it is {labels[truth]}", right=False)
    said = f"{labels[best]}, {scores[best]:.0%}"
    return Example.drawn(image, said if best == truth else f"{said}; it is {labels[truth]}", right=best == truth)
