"""What two files of an export say of some images, for the report."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, takewhile

from ofar_tf.checks.networks import tflite_run
from ofar_tf.conversion.images import FamilyImages
from ofar_tf.family.family_folder import FamilyFolder
from ofar_tf.family.manifest import Manifest, ModelEntry
from ofar_tf.files.finished_work import Work
from ofar_tf.tasks.answers import predictions_path, read_predictions
from ofar_tf.tasks.examples import Example
from ofar_tf.tasks.interface import Shipped

# Of the pictures of one file: pages that are sent around stay small.
_MOST_CHARACTERS = 140_000


@dataclass(frozen=True)
class Examples:
    """What is remembered of a file.

    Attributes:
        shown: Its examples.
    """

    shown: tuple[Example, ...]


def draw_examples(
    manifest: Manifest,
    *,
    folder: FamilyFolder,
    task: Shipped,
    labels: Sequence[str],
    images: FamilyImages,
    count: int,
) -> dict[str, tuple[Example, ...]]:
    """Lets the most accurate file and the smallest one look at some images of the evaluation split.

    The pictures are remembered beside the files, so that the same export does not draw them again; of files that are
    not shown any more they are forgotten.

    Args:
        manifest: The files.
        folder: Where they lie.
        task: What they learned; it draws.
        labels: The class names.
        images: What files are measured on.
        count: How many images of each file; 0 for none. Fewer, where they would make a page too large.

    Returns:
        The examples by the path of the file, the most accurate one first; files without any are left out.
    """
    shown = {entry.path: entry for entry in (_chosen(manifest) if count else ())}
    drawn = {}
    for entry in (*shown.values(), *manifest.models):
        work = Work("examples", folder.path / entry.path, Examples, _key(manifest, entry, labels=labels, count=count))
        if entry.path not in shown:
            work.forget()
        elif entry.path not in drawn:
            found = work.once(partial(_draw, entry, folder, task, images, labels=labels, count=count))
            drawn[entry.path] = found.shown
    return {path: examples for path, examples in drawn.items() if examples}


def _chosen(manifest: Manifest) -> Iterator[ModelEntry]:
    files = [entry for entry in manifest.models if entry.checks.passed and entry.metrics and entry.form is None]
    if files:
        yield max(files, key=lambda entry: entry.metrics.merit if entry.metrics else 0.0)
        yield min(files, key=lambda entry: (entry.macs, entry.bytes))


def _key(manifest: Manifest, entry: ModelEntry, *, labels: Sequence[str], count: int) -> Mapping[str, object]:
    made_of = {"dataset": manifest.dataset, "versions": manifest.versions}
    return {"tflite_sha256": entry.sha256, "evaluation": made_of, "labels": list(labels), "count": count}


def _draw(
    entry: ModelEntry, folder: FamilyFolder, task: Shipped, images: FamilyImages, *, labels: Sequence[str], count: int
) -> Examples:
    path = folder.path / entry.path
    answers = read_predictions(predictions_path(path), parse=task.answers_of)
    if answers is None:  # Of an earlier export, and since removed.
        return Examples(())
    with tflite_run(path, ranges=task.output_ranges) as run:
        batches = images.evaluation(entry.resolution)
        drawn = task.examples(answers, run, batches, labels=labels, count=count)
    sizes = accumulate(len(example.picture) for example in drawn)
    fitting = takewhile(lambda size: size <= _MOST_CHARACTERS, sizes)
    return Examples(tuple(example for example, _ in zip(drawn, fitting, strict=False)))
