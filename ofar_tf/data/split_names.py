"""What folders, lists and files are called that hold a split, and which split that is."""

import re
from collections.abc import Collection

LISTS = ("train", "val", "valid", "validation", "test")
"""What lists of images are called, without suffix, that say which of them are a split."""

_SPLITS = {*LISTS, "trainval"}
_SYNONYMS = {"valid": "validation", "training": "train", "testing": "test"}
_YEAR = re.compile(r"_?(19|20)\d\d$")


def is_split(place: str) -> bool:
    """Whether a folder, list or file is called as splits usually are, `Train`, `training` or `val2017` for instance."""
    return split_named(place) in _SPLITS


def split_named(place: str) -> str:
    """Returns the split that the name of a folder, a list or a file stands for.

    Args:
        place: The name. A year behind it is left out, as that of `train2017`, `valid` is `validation`, `training` and
            `testing` are `train` and `test`, and the usual ones are small, `Train` too.
    """
    name = _YEAR.sub("", place) or place
    small = name.lower()
    name = small if small in _SPLITS or small in _SYNONYMS else name
    return _SYNONYMS.get(name, name)


def split_within(place: str) -> str | None:
    """Returns the split that a word in a name stands for, `train` of `obj_train_data`; None if none or several do."""
    found = {split_named(word) for word in re.split(r"[\W_]+", place) if is_split(word)}
    return found.pop() if len(found) == 1 else None


def splits_of(places: Collection[str]) -> dict[str, str]:
    """Returns the splits that the names of several places stand for.

    Args:
        places: Distinct names of folders, or of files without suffix. Where each of them stands for another split if a
            word within tells (`obj_train_data`, `annotations_val`), that word does.
    """
    plain = {place: split_named(place) for place in places}
    within = {place: split_within(place) or split for place, split in plain.items()}
    return within if len(places) > 1 and len(set(within.values())) == len(places) else plain
