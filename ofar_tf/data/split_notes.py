"""What a user should be told about the images that a run is going to use."""

from collections.abc import Sequence
from pathlib import Path

from ofar_tf.data.file_copies import copies_among
from ofar_tf.data.image_check import MANY
from ofar_tf.data.image_dataset import ImageDataset
from ofar_tf.files.file_names import readable

_MOST_NAMES = 3


def split_notes(dataset: ImageDataset, *, train_split: str, eval_split: str) -> list[str]:
    """Returns what a user should know before training on these splits.

    Args:
        dataset: The data set.
        train_split: The split to train on.
        eval_split: The split to measure accuracy on.

    Returns:
        Sentences: the notes of the data set; how a folder without folders of splits was divided, where that matters;
        which classes have no images (only where labels are in memory: no image is read for this); and how many
        images are copies: evaluation images of training images, and images of one class of those of another. Those are
        looked for where images are files, and no more than 20,000.

    Raises:
        ValueError: There is no such split.
    """
    notes = list(dataset.notes)
    used = {part.split("[")[0].strip() for split in (train_split, eval_split) for part in split.split("+")}
    if used & set(dataset.within):
        notes.append(dataset.division)
    notes += [_absence(dataset, train_split, "training"), _absence(dataset, eval_split, "evaluation")]
    notes += _said_of_copies(dataset, train_split, eval_split)
    return [note for note in notes if note]


def _said_of_copies(dataset: ImageDataset, train_split: str, eval_split: str) -> list[str]:
    """Says what is wrong with images that are copies of others, where they are files, and no more than 20,000."""
    splits = train_split, eval_split
    if dataset.files is None or sum(map(dataset.num_examples, splits)) > MANY:
        return []
    training, evaluation = (_classes_of_files(dataset, split) for split in splits)
    known = {**training, **evaluation}
    copies = copies_among(list(known))
    leaked = [
        (file, next(filter(training.__contains__, group)))
        for group in copies
        if not training.keys().isdisjoint(group)
        for file in group
        if file in evaluation
    ]
    torn = [(file, group[0]) for group in copies for file in group[1:] if known[file] != known[group[0]]]
    said = {
        f"{len(leaked)} of {len(evaluation)} evaluation images are copies of training images, so their accuracy is too "
        f"good: {_first_of(leaked)}.": leaked,
        f"{len(torn)} of {len(known)} images are copies of images of another class: {_first_of(torn)}.": torn,
    }
    return [sentence for sentence, pairs in said.items() if pairs]


def _classes_of_files(dataset: ImageDataset, split: str) -> dict[Path, int]:
    """Returns the files of a split and their classes; without boxes, whose images are of no one class."""
    files = dataset.files_of(split)
    labels = dataset.labels_of(split) if dataset.unit == ImageDataset.unit else None
    if labels is None:
        return dict.fromkeys(files, 0)
    return dict(zip(files, labels.tolist(), strict=True))


def _first_of(pairs: Sequence[tuple[Path, Path]]) -> str:
    """Names the first pair of files, if there is one."""
    said = (f"{readable(copy)} of {readable(original)}" for copy, original in pairs[:1])
    return "".join(said) + (" and others" if len(pairs) > 1 else "")


def _absence(dataset: ImageDataset, split: str, use: str) -> str:
    counts = dataset.class_counts(split)
    if counts is None:
        return ""
    absent = [name for name, count in zip(dataset.class_names, counts, strict=True) if count == 0]
    if not absent:
        return ""
    more = f" and {len(absent) - _MOST_NAMES} more" if len(absent) > _MOST_NAMES else ""
    names = ", ".join(absent[:_MOST_NAMES])
    return (
        f"{len(absent)} of {len(dataset.class_names)} classes have no {use} {dataset.unit} in {split!r}: {names}{more}."
    )
