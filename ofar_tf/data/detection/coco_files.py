"""What lies where in a folder with annotations in COCO's JSON: the files of splits, and the images that these name."""

import json
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from ofar_tf.data.class_folders import WHOLE
from ofar_tf.data.detection.split_places import (
    by_split,
    holds_run,
    nested,
    require_folder,
    tails,
    visible_files,
    visible_names,
)
from ofar_tf.data.split_names import is_split, split_within, splits_of
from ofar_tf.files.file_names import readable
from ofar_tf.files.text_file import read_text

LAYOUTS = (
    "data_dir/instances_<split>.json or data_dir/annotations/instances_<split>.json, with images in "
    "data_dir/<split>, data_dir/images/<split> or data_dir/images; or data_dir/<split>/*.json beside its images"
)
# The first that finds a file is used: COCO's own folder has captions and key points beside the instances.
_PATTERNS = ("instances_*.json", "annotations/instances_*.json", "*.json", "annotations/*.json")
_PATTERNS_OF_SPLITS = ("*/*.json", "*/annotations/*.json")
_PARTS = ("images", "annotations", "categories")


def read_annotations(data_dir: Path) -> tuple[dict[str, tuple[Path, Any]], list[str]]:
    """Reads the annotation files of a folder.

    Args:
        data_dir: The folder; or one that holds nothing but that folder.

    Returns:
        Each split's file and its content, a dict with COCO's three lists; and what to know of files that have none and
        are not called like splits.

    Raises:
        FileNotFoundError: There is no file.
        ValueError: A file is damaged, or two are of one split.
    """
    require_folder(data_dir, layouts=LAYOUTS)
    others: list[Path] = []
    for folder, paths in _places(data_dir):
        read = {path: _read(path) for path in paths}
        sound = {path: content for path, content in read.items() if not _lacks(content)}
        if sound:
            others += _of_another_kind({path: read[path] for path in read.keys() - sound.keys()})
            return _by_split(sound, folder), _notes(others)
        others += _of_another_kind(read)
    if others:
        raise _no_lists(others[0], _read(others[0]))
    raise FileNotFoundError(f"Expected {LAYOUTS}. Received: data_dir={readable(data_dir)} (no such file).")


def images_of(names: Sequence[str], path: Path, *, data_dir: Path, split: str) -> tuple[Path, list[str]]:
    """Returns the first of the usual folders that holds an image, and so should hold all, and the names in it.

    Where none does, paths may be those of another machine; then the images are looked for by the ends of these, and at
    last in all folders.

    Args:
        names: The names in the file, with forward slashes.
        path: The file.
        data_dir: The folder of the data set.
        split: The split of the file.
    """
    inner = [part for part in (_stem(path), split) if part != WHOLE]
    usual = [*inner, *(f"images/{part}" for part in inner), "images", "."]
    roots = [folder / each for folder in nested(data_dir) for each in usual] + [path.parent]
    for called in _ways_to_call(names):
        for root in roots:
            if any(_stored(root, name) for name in called):
                return root, [_stored(root, name) or name for name in called]
    own = split_within(_stem(path)) if split == WHOLE else split
    held = visible_names(data_dir, "**/*")
    for called in _ways_to_call(names):
        if place := _elsewhere(called, path, data_dir=data_dir, own=own, held=held):
            return place, [_stored(place, name) or name for name in called]
    return next(root for root in roots if root.is_dir()), list(names)


def _places(data_dir: Path) -> Iterator[tuple[Path, list[Path]]]:
    folders = nested(data_dir)
    for folder, pattern in [(folder, pattern) for folder in folders for pattern in _PATTERNS] + [
        (folder, pattern) for folder in folders for pattern in _PATTERNS_OF_SPLITS
    ]:
        paths = [*visible_files(folder, pattern), *visible_files(folder, f"{pattern}.gz")]
        yield folder, [path for path in paths if path.parent == folder or not holds_run(path.parent)]


def _by_split(contents: dict[Path, Any], folder: Path) -> dict[str, tuple[Path, Any]]:
    if len(contents) == 1:
        return {WHOLE: next(iter(contents.items()))}
    names = {path: _said(path, folder) for path in contents}
    splits = splits_of(set(names.values()))
    return by_split(
        ((splits[names[path]], path, (path, content)) for path, content in contents.items()), what="annotation file"
    )


def _said(path: Path, folder: Path) -> str:
    """Returns the name that may say which split a file is of: of its folder beside the images, or its own."""
    outer = path.relative_to(folder).parts[0]
    return re.sub(r"[^\w-]+", "_", _stem(path) if outer in (path.name, "annotations") else outer)


def _stem(path: Path) -> str:
    return path.name.split(".json")[0].removeprefix("instances_")


def _read(path: Path) -> Any:
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError, EOFError, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"Expected JSON in {readable(path)}. Received: {reason:.200}.") from error


def _lacks(content: Any) -> bool:
    return not isinstance(content, dict) or not all(isinstance(content.get(part), list) for part in _PARTS)


def _no_lists(path: Path, content: Any) -> ValueError:
    return ValueError(
        f"Expected COCO's lists of images, annotations and categories in {readable(path)}. "
        f"Received: {sorted(content) if isinstance(content, dict) else type(content).__name__!r:.200}."
    )


def _of_another_kind(read: dict[Path, Any]) -> list[Path]:
    """Returns the files, sorted, none of which may be called as annotations are: those are damaged.

    Raises:
        ValueError: If one is.
    """
    for path, content in sorted(read.items()):
        if path.name.startswith("instances_") or is_split(_stem(path)) or split_within(_stem(path)):
            raise _no_lists(path, content)
    return sorted(read)


def _notes(others: Sequence[Path]) -> list[str]:
    more = f" and {len(others) - 1} more JSON files" if len(others) > 1 else ""
    return [f"{readable(others[0])}{more} without COCO's three lists: not used."] if others else []


def _stored(root: Path, name: str) -> str | None:
    """Returns the name of a file that is there."""
    return next((form for form in _forms(name) if (root / form).is_file()), None)


def _forms(name: str) -> Iterator[str]:
    """Yields the ways in which a name is written: letters with accents in two, suffixes in two, blanks as `%20`."""
    yield name
    if not name.isascii():
        yield from (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    path = PurePosixPath(name)
    if path.suffix:
        yield from (
            f"{name.removesuffix(path.suffix)}{suffix}" for suffix in (path.suffix.lower(), path.suffix.upper())
        )
    if "%" in name:
        yield unquote(name)


def _ways_to_call(names: Sequence[str]) -> Iterator[list[str]]:
    """Yields the names as they are, without their first folder, and so on, as long as they differ."""
    yield list(names)
    paths = [list(tails(name)) or [name] for name in names]
    for start in range(1, max(map(len, paths))):
        called = [path[min(start, len(path) - 1)] for path in paths]
        if len(set(called)) == len(names):
            yield called


def _elsewhere(
    names: Sequence[str], path: Path, *, data_dir: Path, own: str | None, held: Sequence[str]
) -> Path | None:
    """Returns the folder that holds most of the images; those that are called like another split are left out."""
    by_name: dict[str, list[str]] = {}
    for each in held:
        by_name.setdefault(PurePosixPath(each).name, []).append(f"/{each}")
    ends = [f"/{form}" for name in names for form in dict.fromkeys(_forms(name))]
    places = [(each, end) for end in ends for each in by_name.get(PurePosixPath(end).name, []) if each.endswith(end)]
    counts = Counter(each.removesuffix(end)[1:] for each, end in places)
    said = {place: {split_within(part) for part in place.split("/")} - {None} for place in counts}
    right = [place for place in counts if own in said[place]] or [
        place for place in counts if own is None or not said[place]
    ]
    most = max((counts[place] for place in right), default=0)
    folders = [data_dir / place for place in right if counts[place] == most]
    if len(folders) > 1:
        raise ValueError(
            f"Expected the images that {readable(path)} names in one folder. "
            f"Received: {readable(folders[0])} and {readable(folders[1])}, both with {most} of them."
        )
    return folders[0] if folders else None
