"""What shipping asks of a task: what its files return, how they are compared, and what they say about themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ofar_tf.tasks.answers import Answers, Batches, OnlyScores, Run, SizedRun
from ofar_tf.tasks.ending import Ending
from ofar_tf.tasks.scores import Metric
from ofar_tf.text.size import Size
from ofar_tf.tflite.detector_metadata import DetectorMetadata

if TYPE_CHECKING:  # Not the other way round: a task is something that can be shipped, and what draws is heavy.
    from matplotlib.figure import Figure

    from ofar_tf.tasks.examples import Example
    from ofar_tf.tasks.task import Evaluator


@dataclass(frozen=True)
class Difference:
    """How far what a file says is from what its parent says, of the same images.

    Attributes:
        largest: In the unit in which float32 files may differ by `ofar_tf.conversion.precision.FLOAT32_TOLERANCE`.
        agreement: Share of the images of which both say the same; None where that means nothing.
    """

    largest: float
    agreement: float | None = None


class Shipped(Protocol):
    """How networks of a task become files.

    What is written out here serves tasks whose files return plain numbers and are judged by their scores alone; a task
    that inherits from this class need only say `name`, `metric`, `shipped`, `finished` and `evaluator`.
    """

    @property
    def name(self) -> str:
        """Its name in files, for instance `classification`."""

    @property
    def metric(self) -> Metric:
        """What networks are compared by."""

    def evaluator(self, size: Any) -> "Evaluator":
        """Returns a new judge of one network at one size."""

    def shipped(self, outputs: Any) -> Any:
        """Adds what a network is shipped with behind its last layer, as stock Keras layers.

        Args:
            outputs: What the network returns, as Keras tensors.

        Returns:
            What its `.keras` file returns, for instance probabilities instead of logits.
        """

    def finished(self, outputs: Any) -> Any:
        """Computes the same as `shipped`, in NumPy: what `.keras` files are held against.

        Args:
            outputs: What a network returned, as NumPy arrays.

        Returns:
            What its `.keras` file should return.
        """

    @property
    def kind(self) -> str:
        """What its networks are called, in the plural."""
        return f"networks for {self.name}"

    @property
    def outputs_note(self) -> str:
        """A list in Markdown of what a file returns, for the model card."""
        return "- Output: what the networks were trained to return; names, shapes and types are in `manifest.json`."

    @property
    def metadata_note(self) -> str:
        """What a file says of itself and which programs read that, a paragraph for the model card."""
        return (
            "Each file carries metadata: the scale of its input, and what `ofar export` was told of author and licence."
        )

    @property
    def has_classes(self) -> bool:
        """Whether files come with the names of classes."""
        return False

    @property
    def output_name(self) -> str:
        """What the output of a file is called, where there is only one."""
        return "output"

    @property
    def ends_in_softmax(self) -> bool:
        """Whether files return the probabilities of classes of which an image has one."""
        return False

    @property
    def forms(self) -> tuple[str, ...]:
        """What files may return, where there is more than one way; the first is the usual one, also called None."""
        return ()

    @property
    def float_outputs(self) -> bool:
        """Whether files return floats whatever their precision, several by name."""
        return False

    @property
    def float_layers(self) -> tuple[str, ...]:
        """Patterns of the last layers, which stay in floats in files whose other numbers are rounded."""
        return ()

    def ending(self, form: str | None) -> Ending | None:
        """Returns what files of a form, or of the usual one, compute behind the network; None for nothing."""
        return None

    def metadata(self, form: str | None) -> DetectorMetadata | None:
        """Returns what files of a form, or of the usual one, say of boxes; None for files without any."""
        return None

    @property
    def output_ranges(self) -> Mapping[str, tuple[float, float]]:
        """The smallest and the largest real value of outputs that have bounds, by the name of the output."""
        return {}

    def check_shipped(self, output_shape: Any, labels: Sequence[str]) -> None:
        """Compares what a `.keras` file returns with the names that go with it.

        Args:
            output_shape: The shape of its output, or shapes in the form of its outputs, the batch first.
            labels: What classes are called; none for tasks without classes.

        Raises:
            ValueError: If they do not belong together, in one line.
        """

    def describe(self, labels: Sequence[str]) -> str:
        """Says in a few words what a file is, for its metadata."""
        return f"Network for {self.name}"

    def compare(self, expected: Any, actual: Any, *, size: Size) -> Difference:
        """Compares what a file says with what its Keras parent says of the same images.

        Args:
            expected: Of the parent, as NumPy arrays, the images first.
            actual: Of the file, all numbers finite; in the same form, unless files have an ending.
            size: What both saw.

        Returns:
            The largest absolute difference of a number, in units of the largest number of its output where that is
            above 1.
        """
        pairs = zip(_arrays(expected), _arrays(actual), strict=True)
        return Difference(max(float(np.abs(one - other).max() / max(1.0, np.abs(one).max())) for one, other in pairs))

    def judged(self, outputs: Any) -> Any:
        """Turns what a file says into what `evaluator` takes; the same where `shipped` adds nothing that matters."""
        return outputs

    def answers(self, run: Run, batches: Batches) -> Answers:
        """Asks a network, or a file, about a split.

        Args:
            run: Runs it.
            batches: The images and their labels.

        Returns:
            Its answers, with the scores of `evaluator`.

        Raises:
            ValueError: If there are no images.
        """
        judge = None
        for images, labels in batches:
            judge = judge or self.evaluator(Size.of(images.shape[1:3]))
            judge.update(self.judged(run(images)), labels)
        if judge is None:
            raise ValueError("Expected at least one image to judge a network by. Received: none.")
        return OnlyScores(judge.result())

    def examples(
        self, answers: Any, run: Run, batches: Batches, *, labels: Sequence[str], count: int
    ) -> "tuple[Example, ...]":
        """Draws some images of a split with what a file says of them; none by default.

        Args:
            answers: What the file said of the whole split, as `answers` returned it.
            run: Runs it.
            batches: The split.
            labels: What classes are called; none for tasks without classes.
            count: How many images, at least 1; fewer where there are fewer.
        """
        return ()

    def pictures(
        self, networks: Mapping[str, SizedRun], batches: Batches, *, labels: Sequence[str]
    ) -> "Mapping[str, Figure]":
        """Draws some images with what networks of a run say of them; none by default.

        Args:
            networks: By what stands above their column. A task that draws nothing runs none of them.
            batches: The images, at the largest size, and their labels, at least one batch: the first is what is drawn.
            labels: What classes are called; none for tasks without classes.

        Returns:
            Drawings for the folder of the run, by the name of their file, without its suffix.
        """
        return {}

    def answers_of(self, arrays: Mapping[str, np.ndarray]) -> Answers:
        """Reads answers from what was kept of them (`Answers.arrays`).

        Raises:
            ValueError: If they are not of the task's form.
            KeyError: If one is missing.
        """
        return OnlyScores.of_arrays(self.metric, arrays)


def _arrays(outputs: Any) -> list[np.ndarray]:
    """Returns the arrays of outputs, those of a dictionary by name."""
    if isinstance(outputs, Mapping):
        return [array for name in sorted(outputs) for array in _arrays(outputs[name])]
    if isinstance(outputs, (list, tuple)):
        return [array for each in outputs for array in _arrays(each)]
    return [np.asarray(outputs)]
