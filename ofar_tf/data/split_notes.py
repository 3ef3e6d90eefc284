"""What a user should be told about the images that a run is going to use."""

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
        and which classes have no images (only where labels are in memory: no image is read for this).

    Raises:
        ValueError: There is no such split.
    """
    notes = list(dataset.notes)
    used = {part.split("[")[0].strip() for split in (train_split, eval_split) for part in split.split("+")}
    if used & set(dataset.within):
        notes.append(dataset.division)
    notes += [_absence(dataset, train_split, "training"), _absence(dataset, eval_split, "evaluation")]
    return [note for note in notes if note]


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
