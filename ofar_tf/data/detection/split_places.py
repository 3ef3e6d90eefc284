"""Where readers of annotations find splits: folders, files, and what is found of each split."""

import os
from collections.abc import Iterable, Iterator
from glob import glob
from pathlib import Path
from typing import TypeVar

from ofar_tf.data.split_names import is_split
from ofar_tf.files.file_names import readable

Value = TypeVar("Value")

_HIDDEN = (".", "__MACOSX")
_OF_A_RUN = "run.flagfile"


def require_folder(data_dir: Path, *, layouts: str) -> None:
    """Refuses what is no folder.

    Args:
        data_dir: What the user names.
        layouts: What is expected there, for the message.

    Raises:
        FileNotFoundError: If it is none.
    """
    if not data_dir.is_dir():
        raise FileNotFoundError(f"Expected {layouts}. Received: data_dir={readable(data_dir)} (not a folder).")


def folders_in(folder: Path) -> list[Path]:
    """Returns the folders in a folder, without hidden ones, macOS's own and runs, sorted; none if it is no folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        found = [folder / entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(_HIDDEN)]
    return sorted(place for place in found if not holds_run(place))


def holds_run(folder: Path) -> bool:
    """Whether a folder is that of a run, or holds such: a run in the folder of its data changes nothing of these."""
    return any((folder / name).is_file() for name in (_OF_A_RUN, *glob(f"*/{_OF_A_RUN}", root_dir=folder)))  # noqa: PTH207


def called(folder: Path, *names: str) -> Path:
    """Returns what a folder holds under the first of some names that it has, whatever their case.

    Args:
        folder: The folder; it need not exist.
        names: The names, in small letters. Of the first one that is not there the path is returned all the same.
    """
    held: dict[str, Path] = {path.name.lower(): path for path in folders_in(folder)}
    return next((held[name] for name in names if name in held), folder / names[0])


def nested(data_dir: Path) -> list[Path]:
    """Returns a folder, the one folder in it unless that is called like a split, as archives unpack, and so on."""
    found = [data_dir]
    while len(inner := folders_in(found[-1])) == 1 and not is_split(inner[0].name):
        found += inner
    return found


def visible_files(folder: Path, pattern: str) -> list[Path]:
    """Returns the files that fit a pattern, sorted, without hidden ones and those in hidden folders.

    Other systems leave such beside the files of a user: `._name` of macOS, `.ipynb_checkpoints` of notebooks.

    Args:
        folder: Where the pattern begins.
        pattern: As `Path.glob` takes it.
    """
    return [folder / name for name in visible_names(folder, pattern)]


def visible_names(folder: Path, pattern: str) -> list[str]:
    """Returns the same as `visible_files`, as names from the folder on: of many files that is much faster."""
    found = glob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207, leaves out what is hidden.
    return sorted(name for name in found if not name.startswith(_HIDDEN))


def tails(name: str) -> Iterator[str]:
    """Yields a path, then what is left of it without its first folder, its first two, and so on.

    Args:
        name: The path, maybe of another machine, which may be Windows.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    yield from ("/".join(parts[start:]) for start in range(len(parts)))


def by_split(found: Iterable[tuple[str, Path, Value]], *, what: str) -> dict[str, Value]:
    """Returns what was found of each split.

    Args:
        found: Splits, where each was found, and what was found there.
        what: What that place is, for the message: `folder`, `list`, ...

    Raises:
        ValueError: If one split was found in two places.
    """
    values: dict[str, Value] = {}
    places: dict[str, Path] = {}
    for split, place, value in found:
        if split in places:
            raise ValueError(
                f"Expected one {what} for each split. Received: {readable(places[split])} and {readable(place)}, both "
                f"of split {split!r}."
            )
        places[split], values[split] = place, value
    return values
