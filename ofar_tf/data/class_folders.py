"""Which folder holds the images of which class, and what lies in it."""

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ofar_tf.data.class_names import check_class_names
from ofar_tf.data.file_names import is_text, readable

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp")
"""What image files are called that TensorFlow decodes."""

LAYOUTS = "data_dir/<split>/<class>/*.jpg or data_dir/<class>/*.jpg (.png, .bmp, .webp, .gif as well)"
WHOLE = "all"
"""The split of a folder that has no folders of splits."""

# What Windows, macOS' archives and network drives leave in folders of pictures, in small letters.
_CLUTTER = ("thumbs.db", "desktop.ini", "__macosx", "@eadir")
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass(frozen=True)
class ClassFolder:
    """The images of one class in one split.

    Attributes:
        path: The folder.
        files: The names of its images, sorted.
        stamp: Digest of these names, their sizes and the times of their last changes.
    """

    path: Path
    files: tuple[str, ...]
    stamp: str


def find_class_folders(data_dir: Path) -> tuple[tuple[str, ...], dict[str, list[ClassFolder]]]:
    """Finds the classes and splits of a folder of images. Every folder is listed once, and no file is opened.

    Args:
        data_dir: See `image_folder`.

    Returns:
        The class names, and for each split the folder of each class in their order. There may be splits without some
        of the classes' images, but no class and no split without any.

    Raises:
        FileNotFoundError: The folder does not exist or holds no images in one of the layouts.
        ValueError: A class has no image or no usable name, a folder holds something that is no image file, or splits
            differ in their classes.
    """
    if not data_dir.is_dir():
        raise FileNotFoundError(
            f"Expected a folder with images as {LAYOUTS}. Received: data_dir={readable(data_dir)} (not a folder)."
        )
    splits = _splits(data_dir)
    class_names = _common_class_names(splits)
    found = {split: [_class_folder(entry) for entry in folders] for split, (_, folders) in splits.items()}
    for split, folders in found.items():
        if not any(folder.files for folder in folders):
            raise FileNotFoundError(
                f"Expected images as {LAYOUTS}. Received: no image in {readable(splits[split][0])}."
            )
    for same_class in zip(*found.values(), strict=True):
        if not any(folder.files for folder in same_class):
            raise ValueError(
                "Expected images in the folder of every class (remove it, or fill it). "
                f"Received: {readable(same_class[0].path)}, which is empty."
            )
    return class_names, found


def _splits(data_dir: Path) -> dict[str, tuple[Path, list[os.DirEntry[str]]]]:
    """Returns the folder of each split and its class folders."""
    outer = _folders(_visible(data_dir))
    holds = {entry: _holds_images(entry) for entry in outer}
    with_images = [entry for entry, here in holds.items() if here]
    inner = {entry: _folders(_visible(entry)) for entry, here in holds.items() if not here}
    deeper = [entry for parent, folders in inner.items() if not parent.is_symlink() for entry in folders]
    _check_depth(data_dir, with_images, deeper)
    if with_images:
        splits = {WHOLE: (data_dir, outer)}
    else:
        splits = {entry.name: (Path(entry.path), folders) for entry, folders in inner.items() if folders}
    if not splits:
        found = "images of no class, right in it" if _holds_images(data_dir) else "no images there"
        raise FileNotFoundError(f"Expected images as {LAYOUTS}. Received: data_dir={readable(data_dir)} ({found}).")
    parents = {data_dir, *(folder for folder, _ in splits.values())}
    _check_distinct([*parents, *(Path(entry.path) for _, folders in splits.values() for entry in folders)])
    return splits


def _check_depth(data_dir: Path, with_images: Sequence[os.DirEntry[str]], deeper: Sequence[os.DirEntry[str]]) -> None:
    """Refuses splits of which one has no classes, as in competitions, and a data set that lies a folder deeper.

    Args:
        data_dir: The folder of all images.
        with_images: Those of its folders that hold images.
        deeper: The folders in the others.
    """
    if any(map(_holds_images, deeper)):
        if with_images:
            raise ValueError(
                "Expected folders of classes in every split: images without a class are of no use here (move them). "
                f"Received: images right in {readable(with_images[0].path)}, and {readable(deeper[0].path)}."
            )
    elif not with_images:
        found = next(
            (entry for entry in deeper if any(map(_holds_images, filter(_is_own_folder, _visible(entry))))), None
        )
        if found is not None:
            raise ValueError(
                f"Expected images as {LAYOUTS}. Received: data_dir={readable(data_dir)}, whose images lie a folder "
                f"deeper; try --data_dir={readable(Path(found.path).parent)}."
            )


def _check_distinct(folders: Iterable[Path]) -> None:
    """Refuses links that make one folder two classes or two splits, or that lead back to where they are."""
    seen: dict[tuple[int, int], Path] = {}
    for folder in folders:
        status = folder.stat()
        other = seen.setdefault((status.st_dev, status.st_ino), folder)
        if other is not folder:
            raise ValueError(
                "Expected a folder of its own for each split and class. "
                f"Received: {readable(other)} and {readable(folder)}, which are the same."
            )


def _common_class_names(splits: Mapping[str, tuple[Path, list[os.DirEntry[str]]]]) -> tuple[str, ...]:
    (first_folder, first_entries), *others = splits.values()
    first = [entry.name for entry in first_entries]
    for folder, entries in others:
        difference = sorted(set(first) ^ {entry.name for entry in entries})
        if difference:
            raise ValueError(
                f"Expected the same class folders in every split. Received: {', '.join(map(readable, difference))} "
                f"only in one of {readable(first_folder)} and {readable(folder)}."
            )
    return check_class_names(first, where=readable(first_folder))


def _class_folder(folder: os.DirEntry[str]) -> ClassFolder:
    names, digest = [], hashlib.sha256()
    for entry in _visible(folder):
        status = _status_of_file(entry)
        names.append(entry.name)
        digest.update(f"{entry.name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return ClassFolder(Path(folder.path), tuple(names), digest.hexdigest())


def _status_of_file(entry: os.DirEntry[str]) -> os.stat_result:
    """Returns the status of a regular file with a proper name; whatever else it is, nothing opens it."""
    try:
        status = entry.stat()
    except OSError as error:
        raise ValueError(
            f"Expected images in the folder of a class. Received: {readable(entry.path)} ({error.strerror})."
        ) from error
    if not _has_suffix(entry) or not stat.S_ISREG(status.st_mode):
        kind = next((f" ({name})" for is_kind, name in _KINDS if is_kind(status.st_mode)), "")
        raise ValueError(
            f"Expected only images ({', '.join(SUFFIXES)}) in the folder of a class. "
            f"Received: {readable(entry.path)}{kind}."
        )
    _check_is_text(entry)
    return status


def _check_is_text(entry: os.DirEntry[str]) -> None:
    if not (entry.name.isascii() or is_text(entry.name)):
        raise ValueError(f"Expected names in UTF-8 (rename it). Received: {readable(entry.path)}.")


def _visible(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if _is_visible(entry)), key=lambda entry: entry.name)


def _is_visible(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".") and entry.name.lower() not in _CLUTTER


def _holds_images(folder: Path | os.DirEntry[str]) -> bool:
    with os.scandir(folder) as entries:
        # Links that lead nowhere count: reading them says so.
        return any(_has_suffix(entry) and _is_visible(entry) and not Path(entry.path).is_dir() for entry in entries)


def _folders(entries: Iterable[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
    folders = [entry for entry in entries if _is_folder(entry)]
    for folder in folders:
        _check_is_text(folder)
    return folders


def _is_folder(entry: os.DirEntry[str]) -> bool:
    if entry.is_symlink() and not Path(entry.path).exists():
        raise ValueError(
            f"Expected folders and images. Received: {readable(entry.path)}, a link that leads nowhere or to itself."
        )
    return entry.is_dir()


def _is_own_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _has_suffix(entry: os.DirEntry[str]) -> bool:
    return entry.name.lower().endswith(SUFFIXES)
