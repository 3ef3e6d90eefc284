"""The verdict on one TFLite file."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ofar_tf.checks.accuracy_check import CANNOT_TELL, FAILED, PASSED, AccuracyCheck
from ofar_tf.checks.margin_check import MarginCheck


@dataclass(frozen=True)
class FileChecks:
    """What the checks of a file found.

    Attributes:
        passed: Whether nothing was wrong.
        reasons: What was wrong, one sentence each.
        runs: Whether LiteRT could run it.
        finite: Whether all its scores are finite.
        builtin_only: Whether it needs no custom or Flex operator.
        stateless: Whether it holds no variable or table.
        static_shape: Whether every shape is static and the batch is 1.
        operators: How often each operator occurs.
        images: How many images its scores were compared on.
        max_difference: Largest absolute difference of a score from Keras on them; None where the scores are not finite.
        argmax_agreement: Share of the images of the evaluation split on which file and Keras name the same class; None
            where the scores are not finite, and for tasks other than classification.
        tolerance: Largest `max_difference` that passes; None where any does.
        accuracy: Its accuracy against that of its Keras parent on the whole evaluation split; None where a tolerance
            decides, the file does not run, or its task does not count images.
        margin: The same for tasks that do not count images; None for the others.
    """

    passed: bool
    reasons: tuple[str, ...]
    runs: bool
    finite: bool
    builtin_only: bool
    stateless: bool
    static_shape: bool
    operators: Mapping[str, int]
    images: int
    max_difference: float | None
    argmax_agreement: float | None
    tolerance: float | None
    accuracy: AccuracyCheck | None = None
    margin: MarginCheck | None = None

    def __post_init__(self) -> None:
        numbers = (self.max_difference or 0.0, self.tolerance or 0.0, self.argmax_agreement or 0.0)
        if self.images < 1 or not all(0 <= number < math.inf for number in numbers) or numbers[2] > 1:
            raise ValueError(f"Expected images, differences from 0 and an agreement in 0..1. Received: {self}.")
        if any(count < 1 for count in self.operators.values()):
            raise ValueError(f"Expected each operator at least once. Received: {dict(self.operators)!r:.200}.")
        if self.passed and any(check and check.verdict == FAILED for check in (self.accuracy, self.margin)):
            raise ValueError(f"Expected a file whose accuracy failed to fail. Received: {self}.")
        sound = self.runs and self.finite and self.builtin_only and self.stateless and self.static_shape
        if self.passed == bool(self.reasons) or (self.passed and not sound):
            raise ValueError(f"Expected a file that passes exactly if nothing is wrong with it. Received: {self}.")

    @property
    def verdict(self) -> str:
        """`passed`, `failed`, or `cannot_tell` where nothing is wrong but the images are too few for its accuracy."""
        if not self.passed:
            return FAILED
        return CANNOT_TELL if self.warning else PASSED

    @property
    def warning(self) -> str:
        """What is not known of a file that passed, one sentence; empty where all is."""
        return self.accuracy.sentence if self.passed and self.accuracy else ""

    def with_accuracy(self, accuracy: AccuracyCheck) -> "FileChecks":
        """Returns the same checks with that of the accuracy.

        Args:
            accuracy: What it found; if it failed, so does the file.

        Returns:
            New checks.
        """
        failed = (accuracy.sentence,) if accuracy.verdict == FAILED else ()
        reasons = (*self.reasons, *failed)
        return replace(self, passed=not reasons, reasons=reasons, accuracy=accuracy)

    def with_margin(self, margin: MarginCheck, *, sentence: str) -> "FileChecks":
        """Returns the same checks with that of the margin.

        Args:
            margin: What it found; if it failed, so does the file.
            sentence: What is wrong if it failed.

        Returns:
            New checks.
        """
        checks = self.with_reason(sentence) if margin.verdict == FAILED else self
        return replace(checks, margin=margin)

    def with_reason(self, reason: str) -> "FileChecks":
        """Returns the same checks, failed for one more reason.

        Args:
            reason: What else is wrong, one sentence.

        Returns:
            New checks.
        """
        return replace(self, passed=False, reasons=(*self.reasons, reason))
