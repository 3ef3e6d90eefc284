"""The smallest file that is about as right as its float parent: 4, 8 or 32 bits, layer by layer.

By litert-quantizer, which quantizes a float `.tflite` file after a recipe of patterns of layers. Which layer gets how
many bits is found here, on the representative images, without labels.
"""

from collections.abc import Callable, Sequence

import numpy as np

from ofar_tf.conversion.mixed_rounding import Bits, Samples, layers_of, require_quantizer
from ofar_tf.conversion.precision import DEFAULT_ALGORITHM

MOST_LOST = 0.005
"""Largest accuracy that a file is expected to lose (`expected_loss`)."""

# What litert-quantizer's policy has 4-bit weights for, with 8-bit activations.
_FOUR_BITS = ("CONV_2D", "FULLY_CONNECTED")


def mixed_precision(content: bytes, images: np.ndarray, *, algorithm: str = DEFAULT_ALGORITHM) -> bytes:
    """Quantizes a float file, as far as its accuracy is expected to stay.

    If 8 bits everywhere keep it, the weights of as many layers as possible get 4 bits, the largest first. If not, as
    few layers as possible stay in floats, those first that rounding hurts most. Both numbers are found by bisection.

    Args:
        content: A float32 `.tflite` file of a classifier.
        images: `[N, r, r, 3]`, values in 0..255: the ranges are measured on them, and the losses.
        algorithm: How weights are rounded, one of `ofar_tf.conversion.precision.ALGORITHMS`.

    Returns:
        The file, with float input and output: the smallest of those tried that are expected to lose at most
        `MOST_LOST`.

    Raises:
        ValueError: If litert-quantizer is not installed.
    """
    require_quantizer()
    samples = Samples(content, images, algorithm=algorithm)
    search = _Search(samples)
    if search.keeps(Bits()):
        fours = sorted((each for each in layers_of(content) if each.operator in _FOUR_BITS), key=lambda e: -e.weights)
        search.most(len(fours), lambda count: Bits(fours=tuple(fours[:count])))
    else:
        hurt = samples.by_error(search.made[Bits()])
        search.fewest(len(hurt), lambda count: Bits(floats=tuple(hurt[:count])))
    return search.smallest()


def expected_loss(scores: np.ndarray, answers: np.ndarray) -> float:
    """Estimates without labels how much accuracy other answers cost.

    An answer that was a toss-up costs nothing: if the scores are the chances of the classes, naming another class costs
    the difference of the two.

    Args:
        scores: `[N, K]`, what the float network gives.
        answers: Int `[N]`, the classes that are named instead.

    Returns:
        The mean loss, from 0 to 1.
    """
    named = np.take_along_axis(scores, answers[:, np.newaxis], axis=1)[:, 0]
    return float(np.mean(scores.max(axis=1) - named))


class _Search:
    """Tries assignments of bits, and remembers the files."""

    def __init__(self, samples: Samples):
        self._samples = samples
        self.made: dict[Bits, bytes] = {}
        self._kept: dict[Bits, bool] = {}

    def keeps(self, bits: Bits) -> bool:
        """Tells whether a file of these bits is about as right as its parent."""
        if bits not in self._kept:
            self.made[bits] = self._samples.quantized(bits)
            answers = self._samples.answers_of(self.made[bits])
            self._kept[bits] = expected_loss(self._samples.scores, answers) <= MOST_LOST
        return self._kept[bits]

    def most(self, count: int, bits: Callable[[int], Bits]) -> None:
        """Looks for the largest number from 0 to count whose bits keep the accuracy; 0 does."""
        low, high = 0, count
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.keeps(bits(middle)) else (low, middle - 1)

    def fewest(self, count: int, bits: Callable[[int], Bits]) -> None:
        """Looks for the smallest number up to count whose bits keep the accuracy; count does."""
        low, high = 1, count
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.keeps(bits(middle)) else (middle + 1, high)
        self.keeps(bits(low))

    def smallest(self) -> bytes:
        """Returns the smallest file that keeps the accuracy; of none, the last resort: the one with most floats."""
        kept: Sequence[Bits] = [bits for bits, keeps in self._kept.items() if keeps]
        if kept:
            return min((self.made[bits] for bits in kept), key=len)
        return self.made[max(self.made, key=lambda bits: len(bits.floats))]
