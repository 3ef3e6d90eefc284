"""What lies in a folder of images, without hidden files and what systems leave there."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ofar_tf.files.file_names import is_text, readable

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".jfif")
"""What image files are called that TensorFlow decodes."""

# What Windows, macOS' archives, disks and network drives leave in folders of pictures, in small letters.
_CLUTTER = (
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "__macosx",
    "@eadir",
    "#recycle",
    "$recycle.bin",
    "system volume information",
    "lost+found",
)


def visible(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    """Returns what lies in a folder, sorted by name, without hidden files and clutter."""
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if _is_visible(entry)), key=lambda entry: entry.name)


def folders_in(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    """Returns the visible folders in a folder, links to folders included, sorted by name.

    Raises:
        ValueError: A name is no text, or a link leads nowhere or to itself.
    """
    folders = [entry for entry in visible(folder) if _is_folder(entry)]
    for each in folders:
        require_text(each)
    return folders


def files_below(folder: str | os.PathLike[str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yields what is visible in a folder and in those below it that are called as folders are, with its path there.

    Links to folders are not followed, so there is no end without end: they, and folders called as images are, are
    yielded like files.

    Args:
        folder: Where to begin.

    Raises:
        ValueError: The name of a folder is no text.
    """
    pending: list[tuple[str, str | os.PathLike[str]]] = [("", folder)]
    while pending:
        prefix, place = pending.pop()
        for entry in visible(place):
            if is_own_folder(entry) and not has_suffix(entry):
                require_text(entry)
                pending.append((f"{prefix}{entry.name}/", entry))
            else:
                yield f"{prefix}{entry.name}", entry


def holds_images(folder: str | os.PathLike[str]) -> bool:
    """Returns whether image files lie right in a folder."""
    with os.scandir(folder) as entries:
        # Links that lead nowhere count: reading them says so.
        return any(has_suffix(entry) and _is_visible(entry) and not Path(entry.path).is_dir() for entry in entries)


def has_suffix(entry: os.DirEntry[str]) -> bool:
    """Returns whether something is called as an image is."""
    return entry.name.lower().endswith(SUFFIXES)


def is_own_folder(entry: os.DirEntry[str]) -> bool:
    """Returns whether something is a folder, and no link to one."""
    return entry.is_dir(follow_symlinks=False)


def require_text(entry: os.DirEntry[str]) -> None:
    """Refuses a name that is not UTF-8.

    Raises:
        ValueError: It is not.
    """
    if not (entry.name.isascii() or is_text(entry.name)):
        raise ValueError(f"Expected names in UTF-8 (rename it). Received: {readable(entry.path)}.")


def some_file(folders: Iterable[str | os.PathLike[str]]) -> str | None:
    """Returns the path of a file that lies in or below one of some folders, any one; `None` if there is none."""
    found = (entry for folder in folders for _, entry in files_below(folder) if entry.is_file())
    return next((entry.path for entry in found), None)


def _is_visible(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".") and entry.name.lower() not in _CLUTTER


def _is_folder(entry: os.DirEntry[str]) -> bool:
    if entry.is_symlink() and not Path(entry.path).exists():
        raise ValueError(
            f"Expected folders and images. Received: {readable(entry.path)}, a link that leads nowhere or to itself."
        )
    return entry.is_dir()
