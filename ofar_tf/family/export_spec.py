"""What an export is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ofar_tf.conversion.mixed_rounding import require_quantizer
from ofar_tf.conversion.precision import ALGORITHMS, DEFAULT_ALGORITHM, PRECISIONS, precision_named
from ofar_tf.conversion.quantization_aware.fine_tuning import FineTuning
from ofar_tf.tasks.interface import Shipped
from ofar_tf.text.lists import listed
from ofar_tf.tflite.metadata import Credits


@dataclass(frozen=True)
class ExportSpec:
    """Which files are made of each network, how, and what is measured of them.

    Attributes:
        precisions: Keys of `ofar_tf.conversion.precision.PRECISIONS`.
        representative_images: How many training images set the ranges of quantized files, at least 1.
        fine_tuning: How fine-tuned files learn.
        fine_tuning_images: How many training images they learn from, at least 1.
        credits: What every file says about its makers and its licence.
        workers: How many conversions, and afterwards how many evaluation images, are run at once, at least 1.
        forms: What files are to return (`Shipped.forms`); empty for the task's usual form.
        latency_threads: How many threads each file is timed with on this machine, one file after the other; 0 to time
            none.
        report_images: How many images of the evaluation split the report shows, with what files say of them, from 0.
        mixed_algorithm: How `mixed` files round weights, one of `ofar_tf.conversion.precision.ALGORITHMS`.
    """

    precisions: Sequence[str] = ("float32", "int8")
    representative_images: int = 200
    fine_tuning: FineTuning = field(default_factory=FineTuning)
    fine_tuning_images: int = 2000
    credits: Credits = field(default_factory=Credits)
    workers: int = 2
    latency_threads: int = 0
    forms: Sequence[str] = ()
    report_images: int = 8
    mixed_algorithm: str = DEFAULT_ALGORITHM

    def __post_init__(self) -> None:
        for name in ("precisions", "forms"):
            object.__setattr__(self, name, tuple(listed(name, getattr(self, name))))
        if self.report_images < 0:
            raise ValueError(f"Expected a number of images from 0. Received: report_images={self.report_images}.")
        if not self.precisions or len(set(self.precisions)) < len(self.precisions):
            raise ValueError(f"Expected at least one precision and none twice. Received: {list(self.precisions)}.")
        if any(precision_named(name).searched for name in self.precisions):
            require_quantizer()
        if self.mixed_algorithm not in ALGORITHMS:
            raise ValueError(
                f"Expected one of {', '.join(ALGORITHMS)} to round weights by. "
                f"Received: mixed_algorithm={self.mixed_algorithm!r}."
            )
        if min(self.representative_images, self.fine_tuning_images, self.workers, 1 + self.latency_threads) < 1:
            raise ValueError(
                "Expected at least one image and one worker, and no negative number of threads. "
                f"Received: representative_images={self.representative_images}, "
                f"fine_tuning_images={self.fine_tuning_images}, workers={self.workers}, "
                f"latency_threads={self.latency_threads}."
            )

    def check_task(self, task: Shipped) -> None:
        """Makes sure that files of a task can be made like this.

        Args:
            task: What the networks learned.

        Raises:
            ValueError: If it has no such forms, or only classifiers have such precisions.
        """
        if unknown := set(self.forms) - set(task.forms):
            choices = ", ".join(task.forms) or "none to choose"
            raise ValueError(f"Expected forms of {task.kind}: {choices}. Received: {sorted(unknown)}.")
        allowed = [name for name, each in PRECISIONS.items() if task.ends_in_softmax or not each.needs_softmax]
        if unknown := set(self.precisions) - set(allowed):
            raise ValueError(
                f"Expected precisions that {task.kind} have: {', '.join(allowed)}. Received: {sorted(unknown)}, which "
                "are made by the probabilities of classifiers."
            )
