"""What a user should be told about the images that a run is going to use."""

from ofar_tf.data.file_copies import copies_among
from ofar_tf.data.file_names import readable
from ofar_tf.data.image_check import MANY
from ofar_tf.data.image_dataset import ImageDataset

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
        evaluation images are copies of training images, where they are files, and no more than 20,000.

    Raises:
        ValueError: There is no such split.
    """
    notes = list(dataset.notes)
    used = {part.split("[")[0].strip() for split in (train_split, eval_split) for part in split.split("+")}
    if used & set(dataset.within):
        notes.append(dataset.division)
    notes += [_absence(dataset, train_split, "training"), _absence(dataset, eval_split, "evaluation")]
    notes.append(_copies(dataset, train_split, eval_split))
    return [note for note in notes if note]


def _copies(dataset: ImageDataset, train_split: str, eval_split: str) -> str:
    """Says which evaluation images are copies of training images, where they are files, and no more than 20,000."""
    training, evaluation = (dict.fromkeys(dataset.files_of(split)) for split in (train_split, eval_split))
    files = [*training, *evaluation]
    if not files or len(files) > MANY:
        return ""
    pairs = [
        (file, next(filter(training.__contains__, group)))
        for group in copies_among(files)
        if not training.keys().isdisjoint(group)
        for file in group
        if file in evaluation
    ]
    if not pairs:
        return ""
    first, original = map(readable, pairs[0])
    return (
        f"{len(pairs)} of {len(evaluation)} evaluation images are copies of training images, so their accuracy is too "
        f"good: {first} of {original}{' and others' if len(pairs) > 1 else ''}."
    )


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
