"""Which folder holds the images of which class, and what lies in it."""

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ofar_tf.data.class_names import check_class_names
from ofar_tf.data.folder_listing import (
    SUFFIXES,
    files_below,
    folders_in,
    has_suffix,
    holds_images,
    is_own_folder,
    require_text,
    some_file,
    visible,
)
from ofar_tf.data.refused_files import require_none
from ofar_tf.data.split_names import is_split
from ofar_tf.files.file_names import readable

LAYOUTS = "data_dir/<split>/<class>/*.jpg or data_dir/<class>/*.jpg (.png, .bmp, .webp, .gif as well)"
WHOLE = "all"
"""The split of a folder that has no folders of splits."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_MOST_NAMES = 5
_Inner = Mapping[os.DirEntry[str], Sequence[os.DirEntry[str]]]


@dataclass(frozen=True)
class ClassFolder:
    """The images of one class in one split.

    Attributes:
        path: The folder.
        files: The paths of its images from there, sorted: `0.jpg`, or `morning/0.jpg` in a folder below.
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
    refused: list[ValueError] = []
    found = {split: [_class_folder(entry, refused) for entry in folders] for split, (_, folders) in splits.items()}
    require_none(refused)
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
    outer = folders_in(data_dir)
    holds = {entry: holds_images(entry) for entry in outer}
    with_images = [entry for entry, here in holds.items() if here]
    inner = {entry: folders_in(entry) for entry, here in holds.items() if not here}
    if with_images:
        _check_have_classes(with_images[0], inner)
        _check_are_classes(outer)
    if with_images or _are_classes(inner):
        splits = {WHOLE: (data_dir, outer)}
    else:
        _check_depth(data_dir, inner)
        splits = {entry.name: (Path(entry.path), folders) for entry, folders in inner.items() if folders}
        for _, folders in splits.values():
            _check_are_classes(folders)
    if not splits:
        raise FileNotFoundError(
            f"Expected images as {LAYOUTS}. Received: data_dir={readable(data_dir)} ({_what_there_is(data_dir)})."
        )
    parents = {data_dir, *(folder for folder, _ in splits.values())}
    _check_distinct([*parents, *(Path(entry.path) for _, folders in splits.values() for entry in folders)])
    return splits


def _are_classes(inner: _Inner) -> bool:
    """Whether folders without images of their own are classes, divided further, and not splits.

    Args:
        inner: The folders in each of them. Splits are called as splits usually are, or share names of classes, two or
            more.
    """
    names = [entry.name for folders in inner.values() for entry in folders]
    several = sum(map(bool, inner.values())) > 1
    usual = any(map(is_split, [*names, *(parent.name for parent in inner)]))
    return several and not usual and len(set(names)) in (1, len(names))


def _check_have_classes(with_images: os.DirEntry[str], inner: _Inner) -> None:
    """Refuses splits of which one, `with_images`, has no classes, as in competitions."""
    splits = [folders for entry, folders in inner.items() if is_split(entry.name) or is_split(with_images.name)]
    classes = next((entry for folders in splits for entry in folders if holds_images(entry)), None)
    if classes is not None:
        raise ValueError(
            "Expected folders of classes in every split: images without a class are of no use here (move them). "
            f"Received: images right in {readable(with_images.path)}, and {readable(classes.path)}."
        )


def _check_are_classes(outer: Sequence[os.DirEntry[str]]) -> None:
    """Refuses splits of images without classes, whose labels lie in a table perhaps: they are no two classes."""
    if len(outer) > 1 and all(is_split(entry.name) for entry in outer):
        raise ValueError(
            f"Expected images as {LAYOUTS}. Received: images right in {readable(outer[0].path)}, and no class but "
            f"{' and '.join(readable(entry.name) for entry in outer)}, which splits are called."
        )


def _check_depth(data_dir: Path, inner: _Inner) -> None:
    """Refuses a data set that lies a folder deeper, and says where. The classes of usual splits may be divided."""
    deeper = [entry for parent, folders in inner.items() if not parent.is_symlink() for entry in folders]
    if any(map(holds_images, deeper)) or any(is_split(parent.name) for parent in inner):
        return
    found = next((entry for entry in deeper if any(map(holds_images, filter(is_own_folder, visible(entry))))), None)
    if found is not None:
        raise ValueError(
            f"Expected images as {LAYOUTS}. Received: data_dir={readable(data_dir)}, whose images lie a folder "
            f"deeper; try --data_dir={readable(Path(found.path).parent)}."
        )


def _what_there_is(folder: Path) -> str:
    """Says what a folder without images in the right places holds."""
    if holds_images(folder):
        return "images of no class, right in it"
    file = some_file([folder])
    return "no images there" if file is None else f"no images there, {readable(file)} for instance is none"


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
        names = {entry.name for entry in entries}
        lacks = [(folder, set(first) - names), (first_folder, names - set(first))]
        if any(missing for _, missing in lacks):
            check_class_names(sorted({*first, *names}), where=readable(first_folder.parent), least=1)
            said = (f"no {_listed(missing)} in {readable(place)}" for place, missing in lacks if missing)
            raise ValueError(
                "Expected the same class folders in every split (an empty one where a class has no images). "
                f"Received: {', and '.join(said)}."
            )
    return check_class_names(first, where=readable(first_folder))


def _listed(names: set[str]) -> str:
    shown = ", ".join(map(readable, sorted(names)[:_MOST_NAMES]))
    return shown if len(names) <= _MOST_NAMES else f"{shown} and {len(names) - _MOST_NAMES} more"


def _class_folder(folder: os.DirEntry[str], refused: list[ValueError]) -> ClassFolder:
    names, digest = [], hashlib.sha256()
    for name, entry in files_below(folder):
        try:
            status = _status_of_file(entry)
        except ValueError as error:
            refused.append(error)
            continue
        names.append(name)
        digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return ClassFolder(Path(folder.path), tuple(sorted(names)), digest.hexdigest())


def _status_of_file(entry: os.DirEntry[str]) -> os.stat_result:
    """Returns the status of a regular file with a proper name; whatever else it is, nothing opens it."""
    try:
        status = entry.stat()
    except OSError as error:
        raise ValueError(
            f"Expected images in the folder of a class. Received: {readable(entry.path)} ({error.strerror})."
        ) from error
    if not has_suffix(entry) or not stat.S_ISREG(status.st_mode):
        kind = next((f" ({name})" for is_kind, name in _KINDS if is_kind(status.st_mode)), "")
        raise ValueError(
            f"Expected only images ({', '.join(SUFFIXES)}) in the folder of a class. "
            f"Received: {readable(entry.path)}{kind}."
        )
    require_text(entry)
    return status
