"""What a run was trained on, in a form that can be stored with it and compared with what is there now."""

from collections.abc import Mapping
from dataclasses import dataclass

_MOST_LISTED = 5


@dataclass(frozen=True)
class Fingerprint:
    """A data set's identity.

    Attributes:
        dataset: The data set's name.
        class_names: The class names, in the order of the labels.
        splits: For each stored split a string that changes when its examples do: when one is added, removed, renamed or
            gets another label. A file whose content alone changes is not noticed.
    """

    dataset: str
    class_names: tuple[str, ...]
    splits: Mapping[str, str]

    def __post_init__(self) -> None:
        texts = (self.dataset, *self.class_names, *self.splits, *self.splits.values())
        if not self.splits or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"Expected a fingerprint of a data set. Received: {self!r:.200}.")


def check_classes(now: Fingerprint, *, trained: Fingerprint) -> None:
    """Refuses a data set whose labels do not mean what they meant to a run.

    Args:
        now: The data set as it is.
        trained: The data set as it was when the run began.

    Raises:
        ValueError: A class was added, removed or renamed, or the order of the classes is another.
    """
    if now.class_names == trained.class_names:
        return
    gone = [name for name in trained.class_names if name not in now.class_names]
    new = [name for name in now.class_names if name not in trained.class_names]
    differences = [f"without {_listed(gone)}"] * bool(gone) + [f"with {_listed(new)}"] * bool(new)
    raise ValueError(
        f"Expected the {len(trained.class_names)} classes that the run was trained on, in their order. "
        f"Received: {now.dataset} {' and '.join(differences) or 'with another order of them'}."
    )


def changed_splits(now: Fingerprint, *, trained: Fingerprint) -> list[str]:
    """Returns the names of the splits whose examples are not those that a run had.

    Args:
        now: The data set as it is.
        trained: The data set as it was when the run began.

    Returns:
        Names of stored splits, sorted; those that one of the two lacks included.
    """
    names = {*now.splits, *trained.splits}
    return sorted(name for name in names if now.splits.get(name) != trained.splits.get(name))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(repr(name) for name in names[:_MOST_LISTED]) + more
