"""The verdict on one TFLite file."""

from collections.abc import Mapping
from dataclasses import dataclass, replace


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
        images: How many images it was compared on.
        max_difference: Largest absolute difference of a score from Keras; None where the scores are not finite.
        argmax_agreement: Share of the images on which file and Keras name the same class; None where the scores are not
            finite.
        tolerance: Largest `max_difference` that passes; None where any does.
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

    def __post_init__(self) -> None:
        sound = self.runs and self.finite and self.builtin_only and self.stateless and self.static_shape
        if self.passed == bool(self.reasons) or (self.passed and not sound):
            raise ValueError(f"Expected a file that passes exactly if nothing is wrong with it. Received: {self}.")

    def with_reason(self, reason: str) -> "FileChecks":
        """Returns the same checks, failed for one more reason.

        Args:
            reason: What else is wrong, one sentence.

        Returns:
            New checks.
        """
        return replace(self, passed=False, reasons=(*self.reasons, reason))
